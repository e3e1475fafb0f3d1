package store

import (
	"cmp"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	"modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"
)

// sqliteName is what the dialect of SQLite is called.
const sqliteName = "sqlite"

// dialectSQLite returns what is particular to SQLite. Its transactions take the write lock when they begin, so one that
// migrates needs no lock of its own, and none can lose against another.
func dialectSQLite() dialect {
	return dialect{
		name:      sqliteName,
		elements:  "json_each",
		array:     "json_group_array",
		packs:     true,
		position:  "instr",
		unindexed: "+",
		now:       "CAST(unixepoch('subsec') * 1000000 AS BIGINT)",
		hasTable:  "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = $1",
		classify:  classifySQLite,
	}
}

func classifySQLite(err error) fault {
	se, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return faultOther
	}
	switch se.Code() {
	case sqlitelib.SQLITE_CONSTRAINT_UNIQUE, sqlitelib.SQLITE_CONSTRAINT_PRIMARYKEY:
		return faultExists
	case sqlitelib.SQLITE_CONSTRAINT_FOREIGNKEY:
		return faultMissing
	}
	switch se.Code() & 0xff { // the primary code: the extended ones only say more
	case sqlitelib.SQLITE_BUSY, sqlitelib.SQLITE_LOCKED, sqlitelib.SQLITE_FULL, sqlitelib.SQLITE_IOERR,
		sqlitelib.SQLITE_CANTOPEN, sqlitelib.SQLITE_READONLY:
		return faultAway
	}
	return faultOther
}

// openSQLite opens the file at path, or a database in memory for ":memory:". There is one connection that writes, so that
// writers queue up fairly in this process, where a context can end the wait, rather than poll the file's lock.
func openSQLite(path string, opts Options) (*database, error) {
	if path == ":memory:" {
		// Each connection would have a database of its own: there is to be one.
		db, err := openSQLiteFile("file::memory:", 1)
		if err != nil {
			return nil, err
		}
		return &database{dialect: dialectSQLite(), reader: db, writer: db, turns: &turns{}}, nil
	}
	name, err := prepareFile(path)
	if err != nil {
		return nil, err
	}
	writer, err := openSQLiteFile(name, 1, writerCache)
	if err != nil {
		return nil, err
	}
	reader, err := openSQLiteFile(name, cmp.Or(opts.MaxConns, max(4, runtime.GOMAXPROCS(0))), "query_only(1)", readerCache)
	if err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	return &database{dialect: dialectSQLite(), reader: reader, writer: writer, turns: &turns{}}, nil
}

// prepareFile makes the file if there is none, readable by its owner only because it holds sessions, and returns it as a URI.
// SQLite gives the files that it lays beside it the same mode.
//
// The file itself is never opened here: when a process closes any descriptor of a file, POSIX drops all locks that it has on that file, those
// of other stores of this process included, and SQLite would no longer keep writers apart. So a new file is made elsewhere and linked. It has its mode by then: of several who
// want to change that of the same file at once, SQLite refuses all but one without a wait.
func prepareFile(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("find the database file %s: %w", path, err)
	}
	uri := uriOf(abs)
	if _, err := os.Stat(abs); err == nil {
		return uri, nil
	}
	empty, err := os.CreateTemp(filepath.Dir(abs), "."+filepath.Base(abs)+"-*") // mode 0600
	if err != nil {
		return "", fmt.Errorf("make the database file; its folder must exist and be writable: %w", err)
	}
	err = errors.Join(empty.Close(), setMode(empty.Name()))
	if err == nil {
		err = os.Link(empty.Name(), abs)
	}
	if errors.Is(err, fs.ErrExist) { // somebody else made it meanwhile
		err = nil
	}
	if err := errors.Join(err, os.Remove(empty.Name())); err != nil {
		return "", fmt.Errorf("make the database file: %w", err)
	}
	return uri, nil
}

func uriOf(abs string) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(abs)}).String()
}

// setMode makes an empty file a database with a log of its writes, by a connection of the kind that it will have.
func setMode(path string) error {
	db, err := openSQLiteFile(uriOf(path), 1)
	if err != nil {
		return err
	}
	return errors.Join(db.Ping(), db.Close()) //nolint:noctx // nobody else has the file
}

// The caches of connections, which have 2 MB if nothing is said. The kernel has the file's pages anyway. With half of that, writes cost as much as before; with a quarter,
// a sixth more. Readers would all hold the same pages, and forget them at each write: lists cost as much with so few.
const (
	writerCache = "cache_size(-1024)"
	readerCache = "cache_size(-128)"
)

// openSQLiteFile opens a URI. The settings stand in the data source name because each connection needs them anew.
func openSQLiteFile(uri string, conns int, pragmas ...string) (*sql.DB, error) {
	settings := url.Values{
		"_txlock": {"immediate"},
		// journal_mode(WAL): readers and the writer do not wait for each other. synchronous(NORMAL): a crash of the machine may
		// undo the last commits but never damages the file.
		// wal_autocheckpoint: pages that change all the time are copied into the file, and that is flushed, for every 4,000 pages that were written and not
		// for every 1,000. The log has up to 16 MB, and its index is as large as before.
		"_pragma": {"busy_timeout(5000)", "foreign_keys(1)", "journal_mode(WAL)", "synchronous(NORMAL)", "wal_autocheckpoint(4000)"},
	}
	for _, pragma := range pragmas {
		settings.Add("_pragma", pragma)
	}
	connector, err := sqlite.NewConnector(uri + "?" + settings.Encode())
	if err != nil {
		return nil, fmt.Errorf("open SQLite: %w", err)
	}
	db := sql.OpenDB(preparing{connector})
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}
