package text

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func TestGreedy(t *testing.T) {
	c := CTC{Symbols: []string{"", "a", "b", " "}}
	onehot := func(s string) (v []float32) {
		for _, r := range s {
			row := make([]float32, 4)
			row[strings.IndexRune("-ab_", r)] = 0.9
			v = append(v, row...)
		}
		return v
	}
	for in, want := range map[string]string{"": "", "---": "", "aab": "ab", "a-a": "aa", "-ab-_b": "ab b", "bb-b__": "bb "} {
		got, score, err := c.Greedy(onehot(in), len(in))
		if err != nil || got != want {
			t.Errorf("%q: %q, want %q (%v)", in, got, want, err)
		}
		if want != "" && math.Abs(float64(score)-0.9) > 1e-6 || want == "" && score != 0 {
			t.Errorf("%q: score %v", in, score)
		}
	}
	nan := float32(math.NaN())
	if got, _, _ := c.Greedy([]float32{nan, 1, 1, 0, 0.5, nan, 0.2, 0.5}, 2); got != "a" {
		t.Errorf("ties and NaN: %q, want %q", got, "a")
	}
	if _, _, err := c.Greedy(make([]float32, 7), 2); err == nil {
		t.Error("7 scores for 2 steps of 4 were accepted")
	}
	last := CTC{Symbols: []string{"x", ""}, Blank: 1}
	if got, _, _ := last.Greedy([]float32{1, 0, 0, 1, 1, 0}, 3); got != "xx" {
		t.Errorf("blank at the end: %q", got)
	}
}

const vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\nthe\nquick\nun\n##aff\n##able\n!\n,\ncafe\n北\n京\n##s\n's\n'\ns\na\nThe\n"

func TestWordPiece(t *testing.T) {
	lower, err := FromVocab([]byte(vocab), true)
	if err != nil {
		t.Fatal(err)
	}
	cased, err := FromVocab([]byte(strings.ReplaceAll(vocab, "\n", "\r\n")), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		tok   *Tokenizer
		in    string
		limit int
		want  []int32
	}{
		{lower, "The  quick\tUNAFFABLE!", 0, []int32{2, 4, 5, 6, 7, 8, 9, 3}},
		{lower, "Café", 0, []int32{2, 11, 3}},
		{lower, "北京 quicks", 0, []int32{2, 12, 13, 5, 14, 3}},
		{lower, "quick's", 0, []int32{2, 5, 16, 17, 3}},
		{lower, "a\x00\u200db\ufffd", 0, []int32{2, 1, 3}},
		{lower, "", 0, []int32{2, 3}},
		{lower, "the the the the", 4, []int32{2, 4, 4, 3}},
		{lower, strings.Repeat("a", 101), 0, []int32{2, 1, 3}},
		{cased, "The the", 0, []int32{2, 19, 4, 3}},
		{cased, "Café", 0, []int32{2, 1, 3}},
	} {
		if got := c.tok.Encode(c.in, c.limit); !slices.Equal(got, c.want) {
			t.Errorf("%q: %v, want %v", c.in, got, c.want)
		}
	}
	if lower.PadID() != 0 {
		t.Errorf("pad is %d", lower.PadID())
	}
	if _, err := FromVocab([]byte("a\nb\n"), true); err == nil {
		t.Error("a vocabulary without [CLS] was accepted")
	}
}

// The merges of "low lower lowest" as GPT-2 writes them; "Ġ" is the space.
const bpeJSON = `{
 "added_tokens": [{"id": 0, "content": "<s>"}, {"id": 1, "content": "<pad>"}, {"id": 2, "content": "</s>"}],
 "normalizer": null,
 "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
 "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0]},
 "model": {"type": "BPE", "vocab": {"l": 3, "o": 4, "w": 5, "e": 6, "r": 7, "Ġ": 8, "lo": 9, "low": 10, "Ġlow": 11, "er": 12, "Ã": 13, "©": 14, "'s": 15, "1": 16, "!": 17, "'": 18, "s": 19},
  "merges": ["l o", "lo w", ["Ġ", "low"], "e r", "' s"]}}`

func TestBPE(t *testing.T) {
	tok, err := FromJSON([]byte(bpeJSON))
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string][]int32{
		"low lower":   {0, 10, 11, 12, 2},
		"low  low":    {0, 10, 8, 11, 2},
		"lowé":        {0, 10, 13, 14, 2},
		"low's 11!":   {0, 10, 15, 8, 16, 16, 17, 2},
		"lowlow":      {0, 10, 10, 2},
		" ":           {0, 8, 2},
		"wowowo":      {0, 5, 4, 5, 4, 5, 4, 2},
		"zzz":         {0, 2}, // no unknown token
		"\xff":        {0, 2},
		"low\u3000 e": {0, 10, 8, 6, 2},
	} {
		if got := tok.Encode(in, 0); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", in, got, want)
		}
	}
	if tok.PadID() != 1 {
		t.Errorf("pad is %d", tok.PadID())
	}
	tok2, err := FromJSON([]byte(strings.Replace(bpeJSON, `"add_prefix_space": false`, `"add_prefix_space": true`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if got := tok2.Encode("low", 0); !slices.Equal(got, []int32{0, 11, 2}) {
		t.Errorf("with a space before: %v", got)
	}
	// A word longer than maxMerged is merged in parts, not refused and not slow.
	if got := tok.Encode(strings.Repeat("low", 5000), 100); len(got) != 100 || got[50] != 10 {
		t.Errorf("long word: %d tokens", len(got))
	}
}

func TestCutWord(t *testing.T) {
	for in, want := range map[string][]string{
		"Hello world":    {"Hello", " world"},
		"it's  12 o'clo": {"it", "'s", " ", " 12", " o", "'", "clo"},
		"a \n b":         {"a", " \n", " b"},
		"x   ":           {"x", "   "},
		"don't,--ok":     {"don", "'t", ",--", "ok"},
	} {
		var got []string
		for s := in; s != ""; {
			n := cutWord(s)
			if n == 0 {
				t.Fatalf("%q: nothing cut off %q", in, s)
			}
			got, s = append(got, s[:n]), s[n:]
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

const wordPieceJSON = `{
 "added_tokens": [{"id": 0, "content": "[PAD]"}],
 "normalizer": {"type": "BertNormalizer", "lowercase": true, "strip_accents": null},
 "pre_tokenizer": {"type": "BertPreTokenizer"},
 "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}]},
 "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "vocab": {"[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "go": 4, "##ing": 5}}}`

func TestFromJSON(t *testing.T) {
	tok, err := FromJSON([]byte(wordPieceJSON))
	if err != nil {
		t.Fatal(err)
	}
	if got := tok.Encode("Going up", 0); !slices.Equal(got, []int32{2, 4, 5, 1, 3}) {
		t.Errorf("got %v", got)
	}
	for name, change := range map[string][2]string{
		"not JSON":   {"{", "["},
		"model":      {"WordPiece", "Unigram"},
		"prefix":     {`"##"`, `"@@"`},
		"normaliser": {"BertNormalizer", "NFC"},
		"accents":    {"null", "false"},
		"number":     {`"go": 4`, `"go": -4`},
		"huge":       {`"go": 4`, `"go": 99999999`},
	} {
		if _, err := FromJSON([]byte(strings.Replace(wordPieceJSON, change[0], change[1], 1))); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzFromJSON(f *testing.F) {
	f.Add([]byte(bpeJSON), "low")
	f.Add([]byte(wordPieceJSON), "going")
	f.Fuzz(func(t *testing.T, data []byte, s string) {
		tok, err := FromJSON(data)
		if err != nil {
			return
		}
		for _, id := range tok.Encode(s, 64) {
			if id < 0 || int(id) >= len(tok.Vocab) {
				t.Fatalf("token %d of %d", id, len(tok.Vocab))
			}
		}
	})
}
