package scheduler

import (
	"strings"
	"testing"
)

// TestShapes: each pattern takes as many characters as it may, and none more.
func TestShapes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		shape shape
		most  string
	}{
		"id": {idPattern, strings.Repeat("a", 40)}, "service": {servicePattern, strings.Repeat("a", 63)}, "name": {namePattern, strings.Repeat("A", 63)},
		"mount": {mountPattern, strings.Repeat("a", 63)}, "template": {templatePattern, strings.Repeat("a", 128)}, "driver": {driverPattern, strings.Repeat("a", 63)},
		"label": {labelPattern, strings.Repeat("a", 63)}, "place": {placePattern, strings.Repeat("a", 128)}, "glob": {globPattern, strings.Repeat("*", 128)},
		"source": {sourcePattern, strings.Repeat("a", 128)}, "signal": {signalPattern, "SIG" + strings.Repeat("A", 12)}, "mode": {modePattern, strings.Repeat("a", 128)},
		"image": {imagePattern, strings.Repeat("a", 512)}, "user": {userPattern, strings.Repeat("a", 64)}, "group": {groupPattern, strings.Repeat("1", 64)},
		"host": {hostPattern, strings.Repeat("1", 45)},
	} {
		for text, fits := range map[string]bool{
			c.most: true, c.most + c.most[len(c.most)-1:]: false, "": false, c.most[:len(c.most)-1] + "\n": false, c.most[:len(c.most)-2] + "ä": false, "$" + c.most[1:]: false,
		} {
			if got := c.shape.MatchString(text); got != fits {
				t.Errorf("%s: %q of %d bytes fits: %t", name, text, len(text), got)
			}
		}
	}
}

func TestIsAccount(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 64)
	for text, fits := range map[string]bool{
		"root": true, "1000:100": true, "a@b:c": true, long + ":" + long: true,
		"": false, ":": false, "a:": false, ":a": false, "a:b:c": false, "a:b@c": false, long + "a": false, "a:" + long + "a": false, "${x}": false,
	} {
		if got := isAccount(text); got != fits {
			t.Errorf("%q is an account: %t", text, got)
		}
	}
}
