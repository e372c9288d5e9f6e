package text

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// bpe splits as GPT-2 does: the text is cut into words (see cutWord), the bytes of each written as printable characters,
// then the adjacent pair that comes first in Merges is joined, from the left, until none is left.
func (t *Tokenizer) bpe(s string) []int32 {
	if t.PrefixSpace && s != "" && s[0] != ' ' {
		s = " " + s
	}
	var ids []int32
	for s != "" {
		n := cutWord(s)
		var parts []string
		for _, b := range []byte(s[:n]) {
			parts = append(parts, string(byteRunes[b]))
		}
		for _, p := range t.merge(parts) {
			if id, ok := t.ids[p]; ok {
				ids = append(ids, id)
			} else {
				ids = t.unknown(ids)
			}
		}
		s = s[n:]
	}
	return ids
}

// maxMerged bounds the bytes of one word that merging looks at together: its cost grows with the square.
const maxMerged = 1024

func (t *Tokenizer) merge(parts []string) []string {
	if len(parts) > maxMerged {
		return append(t.merge(parts[:maxMerged:maxMerged]), t.merge(parts[maxMerged:])...)
	}
	for {
		best, rank := -1, len(t.Merges)
		for i := 0; i+1 < len(parts); i++ {
			if r, ok := t.ranks[[2]string{parts[i], parts[i+1]}]; ok && r < rank {
				best, rank = i, r
			}
		}
		if best < 0 {
			return parts
		}
		a, b := parts[best], parts[best+1]
		out := parts[:0]
		for i := 0; i < len(parts); i++ {
			if i+1 < len(parts) && parts[i] == a && parts[i+1] == b {
				out = append(out, a+b)
				i++
			} else {
				out = append(out, parts[i])
			}
		}
		parts = out
	}
}

// byteRunes writes each byte as one printable character: itself where Latin-1 prints it, else 256 and up, in order.
var byteRunes = func() (r [256]rune) {
	next := rune(256)
	for b := range 256 {
		if b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae {
			r[b] = rune(b)
		} else {
			r[b] = next
			next++
		}
	}
	return r
}()

// cutWord is the length of the first match of
//
//	's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
func cutWord(s string) int {
	for _, c := range []string{"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"} {
		if strings.HasPrefix(s, c) {
			return len(c)
		}
	}
	at := 0
	if s[0] == ' ' {
		at = 1
	}
	for _, class := range []func(rune) bool{unicode.IsLetter, unicode.IsNumber, isOther} {
		if n := run(s[at:], class); n > 0 {
			return at + n
		}
	}
	n := run(s, unicode.IsSpace)
	if n == len(s) {
		return n
	}
	// White space before a word: all but its last character, which belongs to the word.
	_, last := utf8.DecodeLastRuneInString(s[:n])
	if n > last {
		return n - last
	}
	return n
}

func isOther(r rune) bool { return !unicode.IsSpace(r) && !unicode.IsLetter(r) && !unicode.IsNumber(r) }

func run(s string, class func(rune) bool) int {
	for i, r := range s {
		if !class(r) {
			return i
		}
	}
	return len(s)
}
