package pull

import "bytes"

// Cursor reads JSON text from the left to the right, once: who visits a field or an element reads its value or leaves it, in which case it is passed over.
type Cursor struct {
	text []byte
	at   int
}

// New returns a cursor at the begin of the text, which must not change as long as it is read.
func New(text []byte) Cursor { return Cursor{text: text} }

// Fields calls visit at each field of an object, with its name as it is in the text.
func (c *Cursor) Fields(visit func(name []byte) error) error {
	if err := c.open('{'); err != nil {
		return err
	}
	for c.at < len(c.text) && c.text[c.at] != '}' {
		end, err := pastString(c.text, c.at)
		if err != nil {
			return err
		}
		name := c.text[c.at+1 : end-1]
		if c.at = Space(c.text, end); c.at >= len(c.text) || c.text[c.at] != ':' {
			return ErrJSON
		}
		c.at = Space(c.text, c.at+1)
		if err := c.visit('}', func() error { return visit(name) }); err != nil {
			return err
		}
	}
	return c.close()
}

// Elements calls visit at each element of an array. Null has none.
func (c *Cursor) Elements(visit func() error) error {
	if c.Null() {
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

func (c *Cursor) visit(closing byte, visit func() error) (err error) {
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

func (c *Cursor) open(bracket byte) error {
	if c.at = Space(c.text, c.at); c.at >= len(c.text) || c.text[c.at] != bracket {
		return ErrJSON
	}
	c.at = Space(c.text, c.at+1)
	return nil
}

func (c *Cursor) close() error {
	if c.at >= len(c.text) {
		return ErrJSON
	}
	c.at++
	return nil
}

// Null passes a null, if there is one.
func (c *Cursor) Null() bool {
	c.at = Space(c.text, c.at)
	if !bytes.HasPrefix(c.text[c.at:], []byte("null")) {
		return false
	}
	c.at += len("null")
	return true
}

// Value passes a value and returns its text.
func (c *Cursor) Value() ([]byte, error) {
	begin := c.at
	end, err := pastValue(c.text, begin)
	if err != nil {
		return nil, err
	}
	c.at = end
	return c.text[begin:end], nil
}
