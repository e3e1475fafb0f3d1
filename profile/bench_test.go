package profile

import (
	"encoding/json"
	"testing"
)

func BenchmarkResolve(b *testing.B) {
	s, err := decode(withOptions)
	if err != nil {
		b.Fatal(err)
	}
	options := json.RawMessage(`{"profile":"lab","memory":4,"branch":"x"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Resolve(ada(), Server{}, options); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkForms(b *testing.B) {
	s, err := decode(whole + withOptions[1:])
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if len(s.Forms(ada(), Server{})) != 3 {
			b.Fatal("forms are missing")
		}
	}
}
