package nomad

import "reflect"

// copied returns a value that shares nothing with the given one that could be changed through it. It is for what came from JSON: there are no cycles, and no fields that
// are not exported. Each start changes a job of its own, and decoding the jobspec's text again takes five times as long.
func copied[T any](from *T) *T {
	to := new(T)
	copyInto(reflect.ValueOf(to).Elem(), reflect.ValueOf(from).Elem())
	return to
}

// copyInto sets a zero value.
func copyInto(to, from reflect.Value) {
	switch from.Kind() {
	case reflect.Pointer:
		if !from.IsNil() {
			to.Set(reflect.New(from.Type().Elem()))
			copyInto(to.Elem(), from.Elem())
		}
	case reflect.Interface:
		if !from.IsNil() {
			value := reflect.New(from.Elem().Type()).Elem()
			copyInto(value, from.Elem())
			to.Set(value)
		}
	case reflect.Struct:
		for i := range from.NumField() {
			copyInto(to.Field(i), from.Field(i))
		}
	case reflect.Slice:
		if !from.IsNil() {
			to.Set(reflect.MakeSlice(from.Type(), from.Len(), from.Len()))
			for i := range from.Len() {
				copyInto(to.Index(i), from.Index(i))
			}
		}
	case reflect.Map:
		if !from.IsNil() {
			copyMap(to, from)
		}
	default:
		to.Set(from)
	}
}

func copyMap(to, from reflect.Value) {
	to.Set(reflect.MakeMapWithSize(from.Type(), from.Len()))
	for each := from.MapRange(); each.Next(); {
		value := reflect.New(from.Type().Elem()).Elem()
		copyInto(value, each.Value())
		to.SetMapIndex(each.Key(), value)
	}
}
