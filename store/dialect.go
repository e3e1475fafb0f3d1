package store

import "database/sql"

// fault is what an error of a driver amounts to.
type fault int

const (
	faultOther   fault = iota
	faultExists        // a unique key is taken
	faultMissing       // a foreign key points at nothing
	faultRetry         // the transaction lost against another one and left no trace; do it again
	faultAway          // the database cannot be reached or cannot work at the moment
)

// dialect holds the little in which the two databases truly differ. Everything else is one text for both.
type dialect struct {
	// name is also the folder of the migrations.
	name string
	// elements is the function that makes a row with a column "value" of each element of the JSON array it is given.
	elements string
	// array is the aggregate that makes a JSON array of the values of a column.
	array string
	// packs tells that rows are handed over as one text each: see [columns].
	packs bool
	// nests tells that a statement may hold others that write.
	nests bool
	// position is the function that tells where in a text another begins, from 1; 0: nowhere.
	position string
	// unindexed stands before a column by whose index rows shall not be found. SQLite knows nothing of how many rows have a value, and
	// takes one of few values for as good as a key; Postgres knows, and needs no word.
	unindexed string
	// now is the database server's clock in microseconds.
	now string
	// lockSchema, if any, is run in a transaction that migrates and keeps others that migrate waiting until its end.
	lockSchema string
	// lockNamed, if any, is run in a transaction that must be alone of its kind, whose number is $1; "": every transaction is alone.
	lockNamed string
	// hasTable counts the tables of the given name.
	hasTable string
	// isolation is what a transaction needs to behave as if it were alone.
	isolation sql.IsolationLevel
	// classify tells what an error of the driver amounts to, by code.
	classify func(error) fault
}
