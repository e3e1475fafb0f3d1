package vault

import "time"

// SetLoginPause lets a test log in more often.
func SetLoginPause(s *Store, d time.Duration) {
	if l, ok := s.tokens.(*login); ok {
		l.pause = d
	}
}
