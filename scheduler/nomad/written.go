package nomad

import (
	"sync"
	"unique"
)

// maxWritten bounds how many servers are remembered, with some hundred bytes each.
const maxWritten = 20_000

// writings are what this process wrote of servers that it started. They spare it to read what it is about to end. That they are still right is for
// Nomad to say: everything that is done by them names an index. The zero value is ready.
type writings struct {
	mu sync.Mutex
	of map[string]writing // by server
}

// writing is what was written of one server.
type writing struct {
	generation int64
	variable   uint64 // its index; 0: it is not known
	job        uint64 // index of the job's registration; 0: it is not known
	shell      unique.Handle[shell]
}

// noteVariable notes that the variable was written, for which there is no job yet.
func (w *writings) noteVariable(id string, generation int64, index uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of == nil {
		w.of = make(map[string]writing)
	}
	if len(w.of) >= maxWritten {
		clear(w.of)
	}
	w.of[id] = writing{generation: generation, variable: index}
}

// noteJob notes that the job was registered, from which that shell is left.
func (w *writings) noteJob(id string, generation int64, index uint64, made shell) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if last, ok := w.of[id]; ok && last.generation == generation {
		last.job, last.shell = index, unique.Make(made)
		w.of[id] = last
	}
}

// takeVariable hands out, once, the index of the variable, if it is of that generation or an older one.
func (w *writings) takeVariable(id string, generation int64) (index uint64, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	last, ok := w.of[id]
	if !ok || last.generation > generation || last.variable == 0 {
		return 0, false
	}
	delete(w.of, id)
	return last.variable, true
}

// takeJob hands out, once, what is known of the job, if it is of that generation or an older one.
func (w *writings) takeJob(id string, generation int64) (job writing, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	last, ok := w.of[id]
	if !ok || last.generation > generation || last.job == 0 {
		return writing{}, false
	}
	w.of[id] = writing{generation: last.generation, variable: last.variable}
	return last, true
}
