package text

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// maxWord is the longest word, in characters, that is split into pieces; longer ones are unknown.
const maxWord = 100

// wordpiece splits as BERT does: control characters go, white space separates, every CJK ideograph and every
// punctuation mark is a word; words are lowered and lose their accents (NFD without category Mn) where Lower is set; each
// word is then taken apart from the left, the longest piece first, pieces after the first with the prefix "##".
func (t *Tokenizer) wordpiece(s string) []int32 {
	var ids []int32
	for _, word := range t.words(s) {
		ids = t.pieces(ids, word)
	}
	return ids
}

func (t *Tokenizer) words(s string) []string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == 0 || r == unicode.ReplacementChar:
		case r == '\t' || r == '\n' || r == '\r' || unicode.Is(unicode.Zs, r):
			b.WriteByte(' ')
		case unicode.Is(unicode.C, r):
		case isIdeograph(r):
			b.WriteByte(' ')
			b.WriteRune(r)
			b.WriteByte(' ')
		default:
			b.WriteRune(r)
		}
	}
	s = b.String()
	if t.Lower {
		b.Reset()
		for _, r := range norm.NFD.String(s) {
			if !unicode.Is(unicode.Mn, r) {
				b.WriteString(strings.ToLower(string(r)))
			}
		}
		s = b.String()
	}
	var words []string
	start := -1
	flush := func(end int) {
		if start >= 0 {
			words = append(words, s[start:end])
			start = -1
		}
	}
	for i, r := range s {
		switch {
		case unicode.IsSpace(r):
			flush(i)
		case isPunct(r):
			flush(i)
			words = append(words, string(r))
		case start < 0:
			start = i
		}
	}
	flush(len(s))
	return words
}

func (t *Tokenizer) pieces(ids []int32, word string) []int32 {
	runes := []rune(word)
	if len(runes) > maxWord {
		return t.unknown(ids)
	}
	n := len(ids)
	for i := 0; i < len(runes); {
		j := len(runes)
		for ; j > i; j-- {
			piece := string(runes[i:j])
			if i > 0 {
				piece = "##" + piece
			}
			if id, ok := t.ids[piece]; ok {
				ids = append(ids, id)
				break
			}
		}
		if j == i {
			return t.unknown(ids[:n])
		}
		i = j
	}
	return ids
}

func isPunct(r rune) bool {
	if r < 128 {
		return r >= 33 && r <= 47 || r >= 58 && r <= 64 || r >= 91 && r <= 96 || r >= 123 && r <= 126
	}
	return unicode.Is(unicode.P, r)
}

// isIdeograph holds for the blocks that BERT takes for Chinese characters.
func isIdeograph(r rune) bool {
	return r >= 0x4e00 && r <= 0x9fff || r >= 0x3400 && r <= 0x4dbf || r >= 0x20000 && r <= 0x2a6df ||
		r >= 0x2a700 && r <= 0x2b73f || r >= 0x2b740 && r <= 0x2b81f || r >= 0x2b820 && r <= 0x2ceaf ||
		r >= 0xf900 && r <= 0xfaff || r >= 0x2f800 && r <= 0x2fa1f
}
