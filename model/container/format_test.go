package container

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
	"github.com/fxamacker/cbor/v2"
)

var update = flag.Bool("update", false, "rewrite the example in FORMAT.md")

// example is the model of FORMAT.md's worked example.
func example() *Model {
	x := &model.Value{Name: "x", DType: tensor.F32, Shape: tensor.Shape{-1, 2}, Dims: []string{"n", ""}}
	y := &model.Value{Name: "y", DType: tensor.F32, Shape: tensor.Shape{-1, 2}, Dims: []string{"n", ""}}
	w := model.NewConst("w", tensor.From([]float32{1, -2}))
	return &Model{Name: "example", Graph: &model.Graph{
		Name: "main", Inputs: []*model.Value{x}, Outputs: []*model.Value{y},
		Nodes: []*model.Node{
			{Name: "sum", Op: "Add", In: []*model.Value{x, w}, Out: []*model.Value{y}, Attrs: model.Attrs{"act_min": float32(0)}},
		},
	}}
}

// FORMAT.md ends in an example that this test holds to what the writer writes.
func TestFormatExample(t *testing.T) {
	seed := make([]byte, 32)
	for i := range seed {
		seed[i] = byte(i)
	}
	path := filepath.Join(t.TempDir(), "example.edge")
	if err := WriteFile(path, example()); err != nil {
		t.Fatal(err)
	}
	if err := Sign(path, ed25519.NewKeyFromSeed(seed)); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	e, err := readEnvelope(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	m, _ := parts(t, b)
	notation, err := cbor.Diagnose(m)
	if err != nil {
		t.Fatal(err)
	}
	notation = strings.ReplaceAll(notation, `, "`, ",\n\"")
	var want strings.Builder
	block := func(title string, b []byte) {
		fmt.Fprintf(&want, "%s:\n\n", title)
		for i := 0; i < len(b); i += 16 {
			fmt.Fprintf(&want, "    %04x  % x\n", i, b[i:min(i+16, len(b))])
		}
		want.WriteByte('\n')
	}
	block("The file", b)
	block("The manifest, decoded", m)
	want.WriteString("The manifest in diagnostic notation, with a line break before each text:\n\n")
	for _, l := range strings.Split(notation, "\n") {
		fmt.Fprintf(&want, "    %s\n", l)
	}
	want.WriteByte('\n')
	block("The signed payload", payloadOf(e.digest))
	fmt.Fprintf(&want, "The key id is `%v`, the digest `%s`.\n", e.sigs[0].Key, hex.EncodeToString(e.digest[:]))

	doc, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	const mark = "<!-- example: go test -run TestFormatExample -update -->\n"
	head, got, ok := strings.Cut(string(doc), mark)
	if !ok {
		t.Fatal("FORMAT.md has no example")
	}
	if *update {
		if err := os.WriteFile("FORMAT.md", []byte(head+mark+"\n"+want.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if strings.TrimSpace(got) != strings.TrimSpace(want.String()) {
		t.Errorf("FORMAT.md's example differs from the writer; it should be:\n%s", want.String())
	}
	// And the bytes of the document, read back from its text, are a file that opens.
	var file []byte
	section, _, _ := strings.Cut(got, "The manifest")
	for _, l := range strings.Split(section, "\n") {
		if len(l) > 10 && strings.HasPrefix(l, "    ") {
			row, err := hex.DecodeString(strings.ReplaceAll(l[10:], " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			file = append(file, row...)
		}
	}
	pub, err := NewPublicKey(ed25519.NewKeyFromSeed(seed).Public())
	if err != nil {
		t.Fatal(err)
	}
	f, err := OpenReader(bytes.NewReader(file), int64(len(file)), Policy{Trusted: []PublicKey{pub}})
	if err != nil {
		t.Fatal(err)
	}
	g, err := f.Graph()
	if err != nil {
		t.Fatal(err)
	}
	if d := diff(example().Graph, g); d != "" {
		t.Error(d)
	}
}

// The names that FORMAT.md lists are those that the code knows.
func TestFormatNames(t *testing.T) {
	doc, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	for d := tensor.Invalid; d < tensor.Invalid+1 || d.Valid(); d++ {
		if !bytes.Contains(doc, []byte("`"+d.String()+"`")) {
			t.Errorf("FORMAT.md does not mention the element type %v", d)
		}
	}
	for n := model.Numerics(1); !strings.HasPrefix(n.String(), "numerics("); n++ {
		if !bytes.Contains(doc, []byte("`"+n.String()+"`")) {
			t.Errorf("FORMAT.md does not mention the numerics %v", n)
		}
	}
	for e := range encodings {
		if !bytes.Contains(doc, fmt.Appendf(nil, "| %d | %v |", e, e)) {
			t.Errorf("FORMAT.md does not mention the encoding %d, %v", e, e)
		}
	}
}
