package move

import (
	"encoding/binary"
	"math/bits"
	"regexp"
	"unicode/utf8"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

var tokenOps = map[string]op.Op{
	"com.microsoft.Tokenizer":   {Infer: inferTokenizer, Prepare: prepareTokenizer},
	"com.microsoft.MurmurHash3": {Infer: inferMurmur, Prepare: prepareMurmur, Traits: op.PlainIntegers},
}

func inferTokenizer(c *op.Call) error {
	if err := needText(c); err != nil {
		return err
	}
	s := c.In[0].Shape
	if s == nil {
		c.Set(0, tensor.String, nil)
		return nil
	}
	if len(s) != 1 && len(s) != 2 {
		return c.Errorf("input has rank %d, want 1 or 2", len(s))
	}
	c.Set(0, tensor.String, append(s.Clone(), -1))
	return nil
}

// prepareTokenizer cuts each text into tokens of at least mincharnum characters: the leftmost and longest matches of tokenexp, what
// lies between matches of the separators, one after the other, or single characters where the only separator is empty. Rows are
// filled up with pad_value; mark puts U+0002 before and U+0003 behind the tokens.
func prepareTokenizer(c *op.Call) (op.Run, error) {
	least, pad, mark := c.Attrs.Int("mincharnum", 1), c.Attrs.Str("pad_value", ""), c.Attrs.Bool("mark", false)
	if least < 1 {
		return nil, c.Errorf("mincharnum %d, want 1 or more", least)
	}
	separators, pattern := c.Attrs.Strs("separators"), c.Attrs.Str("tokenexp", "")
	compile := func(s string) (*regexp.Regexp, error) {
		re, err := regexp.Compile(s)
		if err != nil {
			return nil, c.Errorf("pattern: %w", err)
		}
		re.Longest()
		return re, nil
	}
	keep := func(tokens []string, s string) []string {
		if utf8.RuneCountInString(s) >= least {
			tokens = append(tokens, s)
		}
		return tokens
	}
	var cut func(s string) []string
	switch {
	case (len(separators) == 0) == (pattern == ""):
		return nil, c.Errorf("want one of separators and tokenexp")
	case len(separators) == 1 && separators[0] == "":
		cut = func(s string) []string {
			var tokens []string
			for i, w := 0, 0; i < len(s); i += w {
				_, w = utf8.DecodeRuneInString(s[i:])
				tokens = keep(tokens, s[i:i+w])
			}
			return tokens
		}
	case pattern != "":
		re, err := compile(pattern)
		if err != nil {
			return nil, err
		}
		cut = func(s string) []string {
			var tokens []string
			for _, at := range re.FindAllStringIndex(s, -1) {
				tokens = keep(tokens, s[at[0]:at[1]])
			}
			return tokens
		}
	default:
		var list []*regexp.Regexp
		for _, s := range separators {
			re, err := compile(s)
			if err != nil {
				return nil, err
			}
			list = append(list, re)
		}
		cut = func(s string) []string {
			tokens := []string{s}
			for _, re := range list {
				var parts []string
				for _, s := range tokens {
					from := 0
					for _, at := range re.FindAllStringIndex(s, -1) {
						if at[1] > at[0] {
							parts = keep(parts, s[from:at[0]])
							from = at[1]
						}
					}
					parts = keep(parts, s[from:])
				}
				tokens = parts
			}
			return tokens
		}
	}
	return func() error {
		rows, width := make([][]string, len(c.In[0].Str)), 0
		for i, s := range c.In[0].Str {
			rows[i] = cut(s)
			width = max(width, len(rows[i]))
		}
		extra := 0
		if mark && width > 0 {
			extra = 1
		}
		y, err := c.Alloc(0, tensor.String, append(c.In[0].Shape.Clone(), width+2*extra))
		if err != nil {
			return err
		}
		for i, tokens := range rows {
			to := y.Str[i*(width+2*extra):][:width+2*extra]
			for k := range to {
				to[k] = pad
			}
			copy(to[extra:], tokens)
			if extra == 1 {
				to[0], to[1+len(tokens)] = "\x02", "\x03"
			}
		}
		return nil
	}, nil
}

func inferMurmur(c *op.Call) error {
	if err := c.Need(1); err != nil {
		return err
	}
	if err := c.Want(0, tensor.I32, tensor.U32, tensor.I64, tensor.U64, tensor.F32, tensor.F64, tensor.String); err != nil {
		return err
	}
	d := tensor.I32
	if c.Attrs.Bool("positive", true) {
		d = tensor.U32
	}
	c.Set(0, d, c.In[0].Shape)
	return nil
}

// prepareMurmur hashes the bytes of each element by MurmurHash3 (x86, 32 bits).
func prepareMurmur(c *op.Call) (op.Run, error) {
	seed := uint32(c.Attrs.Int("seed", 0))
	x, y := c.In[0], c.Out[0]
	size := x.DType.Bits() / 8
	return func() error {
		for i := range y.Len() {
			var b []byte
			if x.DType == tensor.String {
				b = []byte(x.Str[i])
			} else {
				b = x.Data[i*size:][:size]
			}
			binary.NativeEndian.PutUint32(y.Data[4*i:], murmur(b, seed))
		}
		return nil
	}, nil
}

func murmur(b []byte, seed uint32) uint32 {
	h := seed
	mix := func(k uint32) uint32 { return bits.RotateLeft32(k*0xcc9e2d51, 15) * 0x1b873593 }
	n := uint32(len(b))
	for ; len(b) >= 4; b = b[4:] {
		h = bits.RotateLeft32(h^mix(binary.LittleEndian.Uint32(b)), 13)*5 + 0xe6546b64
	}
	if len(b) > 0 {
		k := uint32(0)
		for i, v := range b {
			k |= uint32(v) << (8 * i)
		}
		h ^= mix(k)
	}
	h ^= n
	h = (h ^ h>>16) * 0x85ebca6b
	h = (h ^ h>>13) * 0xc2b2ae35
	return h ^ h>>16
}
