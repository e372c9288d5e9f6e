package runtime

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"

	"github.com/edgerun/edgerun/internal/mem"
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/model/container"
	"github.com/edgerun/edgerun/model/onnx"
	"github.com/edgerun/edgerun/model/tflite"
)

// ErrPrecision: the model cannot be had in the precision that was asked for.
var ErrPrecision = errors.New("precision cannot be had")

// ReadOptions say how to read a model file. The zero value is good.
type ReadOptions struct {
	// Precision asks for fp32, fp32w, fp16, bf16 or int8; "" takes what is stored. ONNX and TFLite models in FP32 are converted to
	// fp32w, fp16 and bf16 as `edgerun import` does it; everything else must be stored as it is asked for.
	Precision string
	// Keys are PEM files of trusted public keys; KeyDir is searched for *.pub.pem where there are none.
	Keys   []string
	KeyDir string
	// AllowUnsigned accepts .edge files without a trusted signature.
	AllowUnsigned bool
	// ExposeStates turns the variables of a TFLite model into inputs NAME and outputs NAME.next; else they begin each run anew.
	ExposeStates bool
	// MaxMemory bounds the bytes of the model's tensors. 0 means DefaultMaxMemory.
	MaxMemory int
}

// Source is a model file that was read.
type Source struct {
	Path, Format string       // Format is edge, onnx or tflite
	Graph        *model.Graph // nil where Load got the model from the cache
	Precision    num.Numerics // fp32, fp32w, fp16, bf16 or int8
	// SourceSHA256 is the hash of the ONNX or TFLite file, which an .edge file remembers.
	SourceSHA256 string
	// Signatures lists the ids of the keys that signed an .edge file.
	Signatures []string
	// Contents is what else an .edge file holds; nil for other formats.
	Contents *container.Model
	external bool // it refers to other files
}

// Open reads a model file and makes it ready to be planned.
func Open(path string, r ReadOptions, o Options) (*Model, error) {
	_, m, err := Load(path, r, o)
	return m, err
}

// Read reads an .edge, .onnx or .tflite file, told apart by its content.
func Read(path string, o ReadOptions) (_ *Source, err error) {
	defer mem.Recover(&err, debug.SetPanicOnFault(true))
	format, err := sniff(path)
	if err != nil {
		return nil, err
	}
	s := &Source{Path: path, Format: format}
	return s, s.read(o, nil)
}

// read reads the file's graph. An .edge file may be open already.
func (s *Source) read(o ReadOptions, f *container.File) (err error) {
	path := s.Path
	if o.MaxMemory == 0 {
		o.MaxMemory = DefaultMaxMemory
	}
	switch s.Format {
	case "edge":
		if f == nil {
			if f, err = s.openEdge(o); err != nil {
				return err
			}
			defer f.Close()
		}
		err = s.readEdge(f, true)
	case "tflite":
		s.Graph, err = tflite.Open(path, tflite.Options{MaxTensorBytes: int64(o.MaxMemory), ExposeStates: o.ExposeStates})
	default:
		s.Graph, err = onnx.Open(path, onnx.Options{MaxTensorBytes: int64(o.MaxMemory), External: func(string) { s.external = true }})
	}
	if err != nil {
		return err
	}
	if err := model.Verify(s.Graph); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if s.SourceSHA256 == "" && s.Format != "edge" {
		if s.SourceSHA256, err = hashFile(path); err != nil {
			return err
		}
	}
	return s.setPrecision(o.Precision)
}

// sniff tells a file's format by its first bytes.
func sniff(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	head := make([]byte, 16)
	n, err := io.ReadFull(f, head)
	if err != nil && n < 8 {
		return "", fmt.Errorf("%s: %d bytes are no model", path, n)
	}
	switch {
	case container.Sniff(head):
		return "edge", nil
	case string(head[4:8]) == "TFL3":
		return "tflite", nil
	}
	return "onnx", nil
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// TrustedKeys reads the public keys in the given files, or all *.pub.pem in a folder where none are given.
func TrustedKeys(files []string, dir string) ([]container.PublicKey, error) {
	if len(files) == 0 && dir != "" {
		files, _ = filepath.Glob(filepath.Join(dir, "*.pub.pem"))
		slices.Sort(files)
	}
	var keys []container.PublicKey
	for _, f := range files {
		k, err := container.LoadPublic(f)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// openEdge opens an .edge file and verifies its signatures.
func (s *Source) openEdge(o ReadOptions) (*container.File, error) {
	if o.MaxMemory == 0 {
		o.MaxMemory = DefaultMaxMemory
	}
	keys, err := TrustedKeys(o.Keys, o.KeyDir)
	if err != nil {
		return nil, err
	}
	f, err := container.Open(s.Path, container.Policy{Trusted: keys, AllowUnsigned: o.AllowUnsigned, MaxMemory: int64(o.MaxMemory)})
	if err != nil {
		if errors.Is(err, container.ErrSignature) && len(keys) == 0 {
			return nil, fmt.Errorf("%w (no key is trusted: give --key FILE.pub.pem, put keys into $EDGERUN_KEYS, or use --allow-unsigned)", err)
		}
		return nil, err
	}
	s.Signatures = nil
	for _, sig := range f.Signatures() {
		s.Signatures = append(s.Signatures, sig.Key.String())
	}
	return f, nil
}

// readEdge reads all of an .edge file, or what is beside its graph.
func (s *Source) readEdge(f *container.File, graph bool) error {
	load := f.Documents
	if graph {
		load = f.Load
	}
	m, err := load()
	if err != nil {
		return fmt.Errorf("%s: %w", s.Path, err)
	}
	s.Contents, s.Graph = m, nil
	if graph {
		s.Graph = m.Graph
	}
	if m.Provenance != nil {
		s.SourceSHA256 = hex.EncodeToString(m.Provenance.Source)
	}
	return nil
}

// StoredPrecision is the precision in which a graph is stored: int8 where activations are integers, else that of its
// weights.
func StoredPrecision(g *model.Graph) num.Numerics {
	p := num.FP32
	g.Walk(func(_ *model.Graph, n *model.Node) {
		switch n.Op {
		case "QuantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul":
			p = num.Int8
		}
		for _, v := range n.Out {
			if v != nil && v.Quant != nil && v.DType != tensor.I32 {
				p = num.Int8
			}
		}
		if p != num.Int8 && (n.Num == num.FP32W || n.Num == num.FP16 || n.Num == num.BF16) {
			p = n.Num
		}
	})
	return p
}

func (s *Source) setPrecision(want string) error {
	s.Precision = StoredPrecision(s.Graph)
	if want == "" || want == s.Precision.String() {
		return nil
	}
	p, err := num.Parse(want)
	if err != nil || p != num.FP32 && p != num.FP32W && p != num.FP16 && p != num.BF16 && p != num.Int8 {
		return fmt.Errorf("%s: precision %q: want fp32, fp32w, fp16, bf16 or int8: %w", s.Path, want, ErrPrecision)
	}
	if s.Format == "edge" || s.Precision != num.FP32 || p == num.Int8 {
		return fmt.Errorf("%s: the model is stored in %v, not in %v: %w", s.Path, s.Precision, p, ErrPrecision)
	}
	g, err := container.ConvertWeights(s.Graph, p)
	if err != nil {
		return fmt.Errorf("%s: %w", s.Path, err)
	}
	s.Graph, s.Precision = g, p
	return nil
}
