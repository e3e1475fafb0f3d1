package web

import (
	"bytes"
	"crypto/rand"
	"html/template"
	"sync"
)

const (
	// maxStencils bounds how many are kept; who asks for ever new ones has all made anew.
	maxStencils = 64
	// maxStencilKey bounds what a visitor has the hub remember.
	maxStencilKey = 512
)

// stencils are pages that differ for their visitors in the page token only. Each is rendered once, with a gap wherever the token goes.
type stencils struct {
	gap string // nothing that a page says
	mu  sync.RWMutex
	of  map[string][][]byte // by what a page depends on: what lies between the gaps
}

func newStencils() *stencils { return &stencils{gap: rand.Text(), of: map[string][][]byte{}} }

// fill returns the page that depends on the key with the token in its gaps. render makes one with any token.
func (s *stencils) fill(key, token string, render func(token string) ([]byte, error)) ([]byte, error) {
	if len(key) > maxStencilKey {
		return render(token)
	}
	s.mu.RLock()
	parts, known := s.of[key]
	s.mu.RUnlock()
	if !known {
		page, err := render(s.gap)
		if err != nil {
			return nil, err
		}
		parts = bytes.Split(page, []byte(s.gap))
		s.mu.Lock()
		if len(s.of) >= maxStencils {
			clear(s.of)
		}
		s.of[key] = parts
		s.mu.Unlock()
	}
	return bytes.Join(parts, []byte(template.HTMLEscapeString(token))), nil
}
