package text

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Tokenizer turns text into token numbers. It is data, to be recorded with a model, and is immutable once used.
type Tokenizer struct {
	// Kind is wordpiece (BERT) or bpe (byte-level, as GPT-2 and RoBERTa).
	Kind string `json:"kind"`
	// Vocab lists the tokens; a token's number is its index. An empty entry is no token.
	Vocab []string `json:"vocab"`
	// Merges of a bpe tokenizer, "left right", best first.
	Merges []string `json:"merges,omitempty"`
	// Lower lowers case and strips accents (wordpiece).
	Lower bool `json:"lower,omitempty"`
	// PrefixSpace puts a space before the text (bpe).
	PrefixSpace bool `json:"prefix_space,omitempty"`
	// The special tokens: before and after the text, for what is unknown, and for filling up. "" means none.
	First   string `json:"first,omitempty"`
	Last    string `json:"last,omitempty"`
	Unknown string `json:"unknown,omitempty"`
	Pad     string `json:"pad,omitempty"`

	once  sync.Once
	ids   map[string]int32
	ranks map[[2]string]int
}

// maxTokens bounds a vocabulary.
const maxTokens = 1 << 22

// Validate checks the fields; errors name them.
func (t *Tokenizer) Validate() error {
	if t.Kind != "wordpiece" && t.Kind != "bpe" {
		return fmt.Errorf("kind: unknown %q, known: wordpiece, bpe", t.Kind)
	}
	if len(t.Vocab) == 0 || len(t.Vocab) > maxTokens {
		return fmt.Errorf("vocab: %d tokens", len(t.Vocab))
	}
	if len(t.Merges) > maxTokens {
		return fmt.Errorf("merges: %d entries", len(t.Merges))
	}
	for i, m := range t.Merges {
		if a, b, ok := strings.Cut(m, " "); !ok || a == "" || b == "" || strings.Contains(b, " ") {
			return fmt.Errorf("merges: entry %d is %q, want two tokens", i, m)
		}
	}
	t.prepare()
	for _, s := range []struct{ field, v string }{{"first", t.First}, {"last", t.Last}, {"unknown", t.Unknown}, {"pad", t.Pad}} {
		if _, ok := t.ids[s.v]; s.v != "" && !ok {
			return fmt.Errorf("%s: token %q is not in the vocabulary", s.field, s.v)
		}
	}
	return nil
}

func (t *Tokenizer) prepare() {
	t.once.Do(func() {
		t.ids = make(map[string]int32, len(t.Vocab))
		for i, v := range t.Vocab {
			if _, ok := t.ids[v]; !ok && v != "" {
				t.ids[v] = int32(i)
			}
		}
		t.ranks = make(map[[2]string]int, len(t.Merges))
		for i, m := range t.Merges {
			a, b, _ := strings.Cut(m, " ")
			if _, ok := t.ranks[[2]string{a, b}]; !ok {
				t.ranks[[2]string{a, b}] = i
			}
		}
	})
}

// Encode returns the numbers of the text's tokens with First and Last around them, at most limit in all (0: no limit): what is
// too long is cut off before Last. A piece that the vocabulary lacks becomes Unknown, or nothing where there is none.
func (t *Tokenizer) Encode(s string, limit int) []int32 {
	t.prepare()
	var ids []int32
	if t.Kind == "bpe" {
		ids = t.bpe(s)
	} else {
		ids = t.wordpiece(s)
	}
	var before, after []int32
	if id, ok := t.ids[t.First]; ok {
		before = []int32{id}
	}
	if id, ok := t.ids[t.Last]; ok {
		after = []int32{id}
	}
	if room := limit - len(before) - len(after); limit > 0 && len(ids) > room {
		ids = ids[:max(room, 0)]
	}
	return slices.Concat(before, ids, after)
}

// PadID is the number that fills up; 0 where there is no Pad.
func (t *Tokenizer) PadID() int32 {
	t.prepare()
	return t.ids[t.Pad]
}

func (t *Tokenizer) unknown(ids []int32) []int32 {
	if id, ok := t.ids[t.Unknown]; ok {
		return append(ids, id)
	}
	return ids
}

// FromVocab makes a BERT tokenizer of a vocab.txt: one token per line.
func FromVocab(data []byte, lower bool) (*Tokenizer, error) {
	lines := strings.Split(strings.TrimSuffix(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n"), "\n")
	t := &Tokenizer{Kind: "wordpiece", Vocab: lines, Lower: lower, First: "[CLS]", Last: "[SEP]", Unknown: "[UNK]", Pad: "[PAD]"}
	if err := t.Validate(); err != nil {
		return nil, fmt.Errorf("vocabulary: %w", err)
	}
	return t, nil
}

// tokenizerJSON is the part of a tokenizer.json (Hugging Face tokenizers) that is read.
type tokenizerJSON struct {
	AddedTokens []struct {
		ID      int    `json:"id"`
		Content string `json:"content"`
	} `json:"added_tokens"`
	Normalizer *struct {
		Type      string `json:"type"`
		Lowercase bool   `json:"lowercase"`
		Strip     *bool  `json:"strip_accents"`
	} `json:"normalizer"`
	PreTokenizer *struct {
		Type        string `json:"type"`
		PrefixSpace bool   `json:"add_prefix_space"`
	} `json:"pre_tokenizer"`
	PostProcessor *struct {
		Type   string `json:"type"`
		CLS    []any  `json:"cls"`
		SEP    []any  `json:"sep"`
		Single []map[string]struct {
			ID string `json:"id"`
		} `json:"single"`
	} `json:"post_processor"`
	Padding *struct {
		Token string `json:"pad_token"`
	} `json:"padding"`
	Model struct {
		Type   string            `json:"type"`
		Unk    string            `json:"unk_token"`
		Prefix *string           `json:"continuing_subword_prefix"`
		Vocab  json.RawMessage   `json:"vocab"`
		Merges []json.RawMessage `json:"merges"`
	} `json:"model"`
}

// FromJSON reads a tokenizer.json whose model is WordPiece with BERT's normaliser, or byte-level BPE.
func FromJSON(data []byte) (*Tokenizer, error) {
	var j tokenizerJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	t := &Tokenizer{Unknown: j.Model.Unk}
	switch j.Model.Type {
	case "WordPiece":
		t.Kind = "wordpiece"
		if j.Model.Prefix != nil && *j.Model.Prefix != "##" {
			return nil, fmt.Errorf("tokenizer: continuing_subword_prefix %q unsupported", *j.Model.Prefix)
		}
		if n := j.Normalizer; n != nil {
			if n.Type != "BertNormalizer" {
				return nil, fmt.Errorf("tokenizer: normalizer %s unsupported for WordPiece", n.Type)
			}
			if n.Strip != nil && *n.Strip != n.Lowercase {
				return nil, fmt.Errorf("tokenizer: strip_accents %v with lowercase %v unsupported", *n.Strip, n.Lowercase)
			}
			t.Lower = n.Lowercase
		}
	case "BPE":
		t.Kind = "bpe"
		if j.PreTokenizer == nil || j.PreTokenizer.Type != "ByteLevel" || j.Normalizer != nil {
			return nil, fmt.Errorf("tokenizer: BPE without plain ByteLevel pre-tokenisation unsupported")
		}
		t.PrefixSpace = j.PreTokenizer.PrefixSpace
	default:
		return nil, fmt.Errorf("tokenizer: model %q unsupported (WordPiece and byte-level BPE are)", j.Model.Type)
	}
	vocab := map[string]int{}
	if err := json.Unmarshal(j.Model.Vocab, &vocab); err != nil {
		return nil, fmt.Errorf("tokenizer: vocab: %w", err)
	}
	for _, a := range j.AddedTokens {
		vocab[a.Content] = a.ID
	}
	for s, id := range vocab {
		if id < 0 || id >= maxTokens {
			return nil, fmt.Errorf("tokenizer: token %q has number %d", s, id)
		}
		if id >= len(t.Vocab) {
			t.Vocab = append(t.Vocab, make([]string, id+1-len(t.Vocab))...)
		}
		t.Vocab[id] = s
	}
	for i, raw := range j.Model.Merges {
		var s string
		var pair []string
		if json.Unmarshal(raw, &s) != nil {
			if json.Unmarshal(raw, &pair) != nil || len(pair) != 2 {
				return nil, fmt.Errorf("tokenizer: merge %d is %s", i, raw)
			}
			s = pair[0] + " " + pair[1]
		}
		t.Merges = append(t.Merges, s)
	}
	if p := j.PostProcessor; p != nil {
		t.First, t.Last = firstString(p.CLS), firstString(p.SEP)
		if p.Type == "TemplateProcessing" {
			seen := false
			for _, item := range p.Single {
				special, ok := item["SpecialToken"]
				switch {
				case !ok:
					seen = true
				case seen:
					t.Last = special.ID
				default:
					t.First = special.ID
				}
			}
		}
	}
	for _, pad := range []string{"[PAD]", "<pad>"} {
		if _, ok := vocab[pad]; ok && t.Pad == "" {
			t.Pad = pad
		}
	}
	if j.Padding != nil {
		t.Pad = j.Padding.Token
	}
	if err := t.Validate(); err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	return t, nil
}

func firstString(v []any) string {
	if len(v) > 0 {
		if s, ok := v[0].(string); ok {
			return s
		}
	}
	return ""
}
