package nomad

// What the tests against a real Nomad, which are in a package of their own, use of this one.
var (
	Update        = update
	CompareGolden = compareGolden
	Parse         = (*Scheduler).parse
)
