package nomad

import "bytes"

// cursor reads JSON text from the left to the right, once: who visits a field or an element reads its value or leaves it, in which case it is passed over.
type cursor struct {
	text []byte
	at   int
}

// fields calls visit at each field of an object, with its name as it is in the text.
func (c *cursor) fields(visit func(name []byte) error) error {
	if err := c.open('{'); err != nil {
		return err
	}
	for c.at < len(c.text) && c.text[c.at] != '}' {
		end, err := pastString(c.text, c.at)
		if err != nil {
			return err
		}
		name := c.text[c.at+1 : end-1]
		if c.at = space(c.text, end); c.at >= len(c.text) || c.text[c.at] != ':' {
			return errJSON
		}
		c.at = space(c.text, c.at+1)
		if err := c.visit('}', func() error { return visit(name) }); err != nil {
			return err
		}
	}
	return c.close()
}

// elements calls visit at each element of an array. Null has none.
func (c *cursor) elements(visit func() error) error {
	if c.null() {
		return nil
	}
	if err := c.open('['); err != nil {
		return err
	}
	for c.at < len(c.text) && c.text[c.at] != ']' {
		if err := c.visit(']', visit); err != nil {
			return err
		}
	}
	return c.close()
}

func (c *cursor) visit(closing byte, visit func() error) (err error) {
	begin := c.at
	if err = visit(); err != nil {
		return err
	}
	if c.at == begin {
		if c.at, err = pastValue(c.text, begin); err != nil {
			return err
		}
	}
	c.at, err = pastComma(c.text, c.at, closing)
	return err
}

func (c *cursor) open(bracket byte) error {
	if c.at = space(c.text, c.at); c.at >= len(c.text) || c.text[c.at] != bracket {
		return errJSON
	}
	c.at = space(c.text, c.at+1)
	return nil
}

func (c *cursor) close() error {
	if c.at >= len(c.text) {
		return errJSON
	}
	c.at++
	return nil
}

// null passes a null, if there is one.
func (c *cursor) null() bool {
	c.at = space(c.text, c.at)
	if !bytes.HasPrefix(c.text[c.at:], []byte("null")) {
		return false
	}
	c.at += len("null")
	return true
}

// value passes a value and returns its text.
func (c *cursor) value() ([]byte, error) {
	begin := c.at
	end, err := pastValue(c.text, begin)
	if err != nil {
		return nil, err
	}
	c.at = end
	return c.text[begin:end], nil
}
