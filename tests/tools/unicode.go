// Writes Go's Unicode tables as src/domain/template/functions/regex/unicode.bin, whose reader describes the form.
package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"sort"
	"strings"
	"unicode"
)

var separators = strings.NewReplacer("_", "", "-", "", " ", "")

func plain(name string) string { return strings.ToLower(separators.Replace(name)) }

func number(out *bytes.Buffer, n int) { out.Write(binary.AppendUvarint(nil, uint64(n))) }

func ranges(table *unicode.RangeTable) []byte {
	var out bytes.Buffer
	next, lo, hi := 0, -1, -1
	flush := func() {
		if lo >= 0 {
			number(&out, lo-next)
			number(&out, hi-lo)
			next = hi + 1
		}
	}
	for c := 0; c <= unicode.MaxRune; c++ {
		switch {
		case !unicode.Is(table, rune(c)):
		case lo >= 0 && c == hi+1:
			hi = c
		default:
			flush()
			lo, hi = c, c
		}
	}
	flush()
	return out.Bytes()
}

func main() {
	// The order in which regexp/syntax looks names up.
	tables, index := [][]byte{}, map[string]int{}
	seen := map[*unicode.RangeTable]int{}
	add := func(name string, table *unicode.RangeTable) {
		if _, ok := index[plain(name)]; ok {
			return
		}
		if _, ok := seen[table]; !ok {
			seen[table] = len(tables)
			tables = append(tables, ranges(table))
		}
		index[plain(name)] = seen[table]
	}
	sorted := func(all map[string]*unicode.RangeTable) {
		names := []string{}
		for name := range all {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			add(name, all[name])
		}
	}
	sorted(unicode.Categories)
	sorted(unicode.Scripts)
	for alias, name := range unicode.CategoryAliases {
		add(alias, unicode.Categories[name])
	}

	names := []string{}
	for name := range index {
		names = append(names, name)
	}
	sort.Strings(names)
	var out bytes.Buffer
	number(&out, len(names))
	for _, name := range names {
		number(&out, len(name))
		out.WriteString(name)
		number(&out, index[name])
	}
	number(&out, len(tables))
	for _, table := range tables {
		number(&out, len(table))
		out.Write(table)
	}

	// Runs of code points that all fold by the same distance.
	next := 0
	for c := 0; c <= unicode.MaxRune; {
		distance := func(c int) int { return int(unicode.SimpleFold(rune(c))) - c }
		d := distance(c)
		if d == 0 {
			c++
			continue
		}
		count := 1
		for distance(c+count) == d {
			count++
		}
		number(&out, c-next)
		number(&out, count)
		out.Write(binary.AppendVarint(nil, int64(d)))
		c += count
		next = c
	}
	if err := os.WriteFile(os.Args[1], out.Bytes(), 0o644); err != nil {
		panic(err)
	}
}
