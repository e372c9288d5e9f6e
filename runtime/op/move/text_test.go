package move

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/internal/attr"
	"github.com/edgerun/edgerun/internal/tensor"
)

// drawText makes strings of few letters, white space and characters of several bytes.
func drawText(rng *rand.Rand, n int) *tensor.Tensor {
	letters := []string{"a", "B", "b", " ", "  ", "\t", ",", ", ", "ä", "Ä", "\u00a0", "x1"}
	t := tensor.New(tensor.String, tensor.Shape{n})
	for i := range t.Str {
		for range rng.IntN(8) {
			t.Str[i] += letters[rng.IntN(len(letters))]
		}
	}
	return t
}

func expectText(t *testing.T, what any, got *tensor.Tensor, s tensor.Shape, want []string) {
	t.Helper()
	if got.DType != tensor.String || !got.Shape.Equal(s) || !slices.Equal(got.Str, want) {
		t.Fatalf("%v: got %v%q, want %v%q", what, got.Shape, got.Str, s, want)
	}
}

func TestStringConcats(t *testing.T) {
	rng := draws()
	for range *count {
		h, w := 1+rng.IntN(3), 1+rng.IntN(3)
		a, b := drawText(rng, h), drawText(rng, w)
		a.Shape = tensor.Shape{h, 1}
		var want []string
		for i := range h {
			for j := range w {
				want = append(want, a.Str[i]+b.Str[j])
			}
		}
		expectText(t, []any{a.Str, b.Str}, evaluate(t, "StringConcat", nil, []*tensor.Tensor{a, b}, 1)[0], tensor.Shape{h, w}, want)
	}
}

// pieces is Python's str.split, character by character.
func pieces(s, delimiter string, limit int) []string {
	var list []string
	if delimiter != "" {
		if s == "" {
			return nil
		}
		part := ""
		for i := 0; i < len(s); {
			if strings.HasPrefix(s[i:], delimiter) && (limit < 0 || len(list) < limit) {
				list, part = append(list, part), ""
				i += len(delimiter)
				continue
			}
			part += s[i : i+1]
			i++
		}
		return append(list, part)
	}
	space := func(r rune) bool { return strings.ContainsRune(" \t\n\v\f\r\u00a0", r) }
	r := []rune(s)
	for i := 0; i < len(r); {
		if space(r[i]) {
			i++
			continue
		}
		if limit >= 0 && len(list) == limit {
			return append(list, string(r[i:]))
		}
		j := i
		for j < len(r) && !space(r[j]) {
			j++
		}
		list = append(list, string(r[i:j]))
		i = j
	}
	return list
}

func TestStringSplits(t *testing.T) {
	rng := draws()
	for range *count {
		x := drawText(rng, 1+rng.IntN(4))
		delimiter, limit := []string{"", ",", ", ", "b"}[rng.IntN(4)], rng.IntN(5)-1
		a := attr.Attrs{"delimiter": delimiter}
		if limit >= 0 {
			a.Set("maxsplit", limit)
		}
		width := 0
		var parts [][]string
		for _, s := range x.Str {
			parts = append(parts, pieces(s, delimiter, limit))
			width = max(width, len(parts[len(parts)-1]))
		}
		var want []string
		var numbers []int64
		for _, p := range parts {
			want = append(append(want, p...), make([]string, width-len(p))...)
			numbers = append(numbers, int64(len(p)))
		}
		out := evaluate(t, "StringSplit", a, []*tensor.Tensor{x}, 2)
		expectText(t, []any{x.Str, delimiter, limit}, out[0], tensor.Shape{len(x.Str), width}, want)
		if !slices.Equal(tensor.Of[int64](out[1]), numbers) {
			t.Fatalf("%q: %v pieces, want %v", x.Str, tensor.Of[int64](out[1]), numbers)
		}
	}
}

func TestStringNormalizers(t *testing.T) {
	rng := draws()
	lower := map[rune]rune{'A': 'a', 'B': 'b', 'Ä': 'ä', 'X': 'x'}
	upper := map[rune]rune{'a': 'A', 'b': 'B', 'ä': 'Ä', 'x': 'X'}
	change := func(s string, m map[rune]rune) string {
		return strings.Map(func(r rune) rune {
			if to, ok := m[r]; ok {
				return to
			}
			return r
		}, s)
	}
	for range *count {
		x := drawText(rng, 1+rng.IntN(5))
		stop := drawText(rng, rng.IntN(4)).Str
		if len(x.Str) > 1 {
			stop = append(stop, change(x.Str[1], upper))
		}
		action, sensitive := []string{"NONE", "LOWER", "UPPER"}[rng.IntN(3)], rng.IntN(2) == 0
		a := attr.Attrs{"case_change_action": action}
		a.Set("is_case_sensitive", sensitive)
		a.Set("stopwords", stop)
		shape := tensor.Shape{}
		if rng.IntN(2) == 0 {
			x.Shape, shape = tensor.Shape{1, len(x.Str)}, tensor.Shape{1}
		}
		var want []string
		for _, s := range x.Str {
			if slices.ContainsFunc(stop, func(w string) bool { return w == s || !sensitive && change(w, lower) == change(s, lower) }) {
				continue
			}
			switch action {
			case "LOWER":
				s = change(s, lower)
			case "UPPER":
				s = change(s, upper)
			}
			want = append(want, s)
		}
		if want == nil {
			want = []string{""}
		}
		expectText(t, []any{x.Str, a}, evaluate(t, "StringNormalizer", a, []*tensor.Tensor{x}, 1)[0], append(shape, len(want)), want)
	}
}

// A pattern must cover the whole string.
func TestRegexFullMatches(t *testing.T) {
	rng := draws()
	for range *count {
		x := drawText(rng, 1+rng.IntN(6))
		got := evaluate(t, "RegexFullMatch", attr.Attrs{"pattern": "a|(a|B|b|ä)+"}, []*tensor.Tensor{x}, 1)[0]
		for i, s := range x.Str {
			if want := s != "" && strings.Trim(s, "aBbä") == ""; want != (got.Data[i] == 1) {
				t.Fatalf("%q: %v, want %v", s, got.Data[i], want)
			}
		}
	}
}
