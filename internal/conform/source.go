package conform

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model/onnx"
)

// ErrSource is wrapped by errors about archives and folders that hold no cases or are not what they should be.
var ErrSource = errors.New("bad source of test cases")

// Limits on archives and files.
const (
	maxFiles = 1 << 18
	maxBytes = 1 << 30 // of all files of an archive, and of one file of a folder
	maxPath  = 1 << 10
	maxSets  = 1 << 10 // data sets of a case, and values of a data set
)

// Source holds test cases.
type Source struct {
	cases []caseFiles
	files map[string]bool
	read  func(name string) ([]byte, error)
	close func() error
	dir   string
}

// caseFiles says where a case lies.
type caseFiles struct {
	name   string // folder and name, as in node/test_abs
	model  string
	sets   int
	prefix string // of the files of data set K: prefix/test_data_set_K/; of light cases: the path without .onnx
	light  bool
}

// Set is one set of inputs with the outputs that are due.
type Set struct {
	Inputs, Outputs []*tensor.Tensor
}

// Case is one test case.
type Case struct {
	// Name is the folder's name with the one around it, as in node/test_abs.
	Name string
	// Light marks a whole architecture with constant weights.
	Light bool
	// Model is the file, Dir the folder that holds it on disk, "" in archives.
	Model []byte
	Dir   string
	// Inputs and Outputs are the model's, without inputs that have initializers.
	Inputs, Outputs []onnx.Port
	Sets            []Set
}

// Open reads the list of cases of a folder or .tar.zst archive. Where the source is one case's folder it holds that one.
func Open(name string) (*Source, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	s := &Source{files: map[string]bool{}, close: func() error { return nil }}
	if st.IsDir() {
		err = s.openDir(name)
	} else {
		err = s.openArchive(name)
	}
	if err == nil {
		s.find()
		if len(s.cases) == 0 {
			err = fmt.Errorf("%w: no model.onnx in it", ErrSource)
		}
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// Close frees what the source holds.
func (s *Source) Close() error { return s.close() }

// Len is the number of cases, light ones not counted.
func (s *Source) Len() int {
	n := 0
	for i := range s.cases {
		if !s.cases[i].light {
			n++
		}
	}
	return n
}

func (s *Source) openDir(name string) error {
	root, err := os.OpenRoot(name)
	if err != nil {
		return err
	}
	if s.dir, err = filepath.Abs(name); err != nil {
		return err
	}
	s.close = root.Close
	s.read = func(name string) ([]byte, error) {
		st, err := root.Stat(name)
		if err != nil {
			return nil, err
		}
		if !st.Mode().IsRegular() || st.Size() > maxBytes {
			return nil, fmt.Errorf("%w: %s is no regular file of at most %d bytes", ErrSource, name, maxBytes)
		}
		f, err := root.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return io.ReadAll(io.LimitReader(f, maxBytes))
	}
	return fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() {
			s.files[p] = true
		}
		if len(s.files) > maxFiles {
			return fmt.Errorf("%w: more than %d files", ErrSource, maxFiles)
		}
		return nil
	})
}

func (s *Source) openArchive(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return s.readArchive(f)
}

// readArchive takes all files into memory. Names that lead out of the archive, links and special files are errors.
func (s *Source) readArchive(r io.Reader) error {
	dec, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSource, err)
	}
	defer dec.Close()
	data := map[string][]byte{}
	// Headers and padding count too, so that an archive of empty files ends.
	limited := &io.LimitedReader{R: dec, N: maxBytes + 2*tarBlock*maxFiles}
	tr := tar.NewReader(limited)
	for total := int64(0); ; {
		h, err := tr.Next()
		if err == io.EOF {
			if limited.N <= 0 {
				return fmt.Errorf("%w: archive too large", ErrSource)
			}
			break
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrSource, err)
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		p := path.Clean(h.Name)
		if h.Typeflag != tar.TypeReg || !fs.ValidPath(p) || len(p) > maxPath || strings.ContainsRune(p, '\\') ||
			slices.Contains(strings.Split(h.Name, "/"), "..") || path.IsAbs(h.Name) {
			return fmt.Errorf("%w: entry %q of type %q", ErrSource, h.Name, h.Typeflag)
		}
		if total += h.Size; h.Size < 0 || total > maxBytes || len(data) >= maxFiles {
			return fmt.Errorf("%w: more than %d bytes or %d files", ErrSource, maxBytes, maxFiles)
		}
		b, err := io.ReadAll(tr)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrSource, p, err)
		}
		data[p], s.files[p] = b, true
	}
	s.read = func(name string) ([]byte, error) {
		b, ok := data[name]
		if !ok {
			return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
		}
		return b, nil
	}
	return nil
}

const tarBlock = 512

// find lists the cases among the files.
func (s *Source) find() {
	for p := range s.files {
		dir, file := path.Split(p)
		dir = path.Clean(dir)
		switch {
		case file == "model.onnx":
			c := caseFiles{name: caseName(dir), model: p, prefix: dir}
			for c.sets < maxSets && s.hasSet(dir, c.sets) {
				c.sets++
			}
			s.cases = append(s.cases, c)
		case strings.HasSuffix(file, ".onnx") && s.files[strings.TrimSuffix(p, ".onnx")+"_output_0.pb"]:
			base := strings.TrimSuffix(p, ".onnx")
			s.cases = append(s.cases, caseFiles{name: caseName(base), model: p, prefix: base, sets: 1, light: true})
		}
	}
	slices.SortFunc(s.cases, func(a, b caseFiles) int { return strings.Compare(a.name, b.name) })
}

func (s *Source) hasSet(dir string, k int) bool {
	return s.files[path.Join(dir, setName(k), "output_0.pb")] || s.files[path.Join(dir, setName(k), "input_0.pb")]
}

func setName(k int) string { return "test_data_set_" + strconv.Itoa(k) }

// caseName is the last two parts of a path.
func caseName(p string) string {
	group := path.Base(path.Dir(p))
	if group == "." || group == "/" {
		return path.Base(p)
	}
	return group + "/" + path.Base(p)
}

// load reads a case's model and values.
func (s *Source) load(f *caseFiles) (*Case, error) {
	c := &Case{Name: f.name, Light: f.light}
	if s.dir != "" {
		c.Dir = filepath.Join(s.dir, filepath.FromSlash(path.Dir(f.model)))
	}
	var err error
	if c.Model, err = s.read(f.model); err != nil {
		return nil, err
	}
	o := onnx.Options{}
	if c.Dir != "" {
		if o.Root, err = os.OpenRoot(c.Dir); err != nil {
			return nil, err
		}
		defer o.Root.Close()
	}
	if c.Inputs, c.Outputs, err = onnx.Signature(c.Model, o); err != nil {
		return nil, err
	}
	if f.light {
		in, err := ramps(c.Inputs)
		if err != nil {
			return nil, err
		}
		out, err := s.values(f.prefix+"_output_", c.Outputs)
		c.Sets = []Set{{in, out}}
		return c, err
	}
	for k := range f.sets {
		dir := path.Join(f.prefix, setName(k))
		in, err := s.values(dir+"/input_", c.Inputs)
		if err != nil {
			return nil, err
		}
		out, err := s.values(dir+"/output_", c.Outputs)
		if err != nil {
			return nil, err
		}
		c.Sets = append(c.Sets, Set{in, out})
	}
	if len(c.Sets) == 0 {
		return nil, fmt.Errorf("%w: no test_data_set_0", ErrSource)
	}
	return c, nil
}

// values reads prefix0.pb and so on, one per port.
func (s *Source) values(prefix string, ports []onnx.Port) ([]*tensor.Tensor, error) {
	list := make([]*tensor.Tensor, len(ports))
	for i, p := range ports {
		name := prefix + strconv.Itoa(i) + ".pb"
		data, err := s.read(name)
		if err != nil {
			return nil, err
		}
		if list[i], err = readValue(data, &p); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if extra := prefix + strconv.Itoa(len(ports)) + ".pb"; s.files[extra] {
		return nil, fmt.Errorf("%w: %s, but the model has %d such values", ErrSource, extra, len(ports))
	}
	return list, nil
}

// readValue reads the value of a port. Where an optional one is present, the cases may store its element alone.
func readValue(data []byte, p *onnx.Port) (*tensor.Tensor, error) {
	if p.Kind == onnx.KindOptional {
		if _, t, err := onnx.ReadValue(data, p.Elem, onnx.Options{}); err == nil {
			return &tensor.Tensor{DType: tensor.Sequence, Elems: []*tensor.Tensor{t}}, nil
		}
	}
	_, t, err := onnx.ReadValue(data, p.Kind, onnx.Options{})
	return t, err
}

// maxRamp bounds the inputs that are made here, in elements.
const maxRamp = 1 << 24

// ramps makes float inputs whose element i of n is i/n; free extents are 1.
func ramps(ports []onnx.Port) ([]*tensor.Tensor, error) {
	list := make([]*tensor.Tensor, len(ports))
	for i, p := range ports {
		shape := p.Shape.Clone()
		for k, d := range shape {
			if d < 0 {
				shape[k] = 1
			}
		}
		n, err := shape.Size()
		if err != nil || n > maxRamp || p.DType != tensor.F32 {
			return nil, fmt.Errorf("%w: input %s is %v%v", ErrSource, p.Name, p.DType, p.Shape)
		}
		list[i] = tensor.New(tensor.F32, shape)
		v := tensor.Of[float32](list[i])
		for k := range v {
			v[k] = float32(float64(k) / float64(n))
		}
	}
	return list, nil
}
