package runtime

import (
	"container/list"
	"encoding/json"
	"fmt"
	"os"
	goruntime "runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/edgerun/edgerun/internal/cpu"
	"github.com/edgerun/edgerun/internal/mem"
	"github.com/edgerun/edgerun/internal/num"
	"github.com/edgerun/edgerun/kernels"
	"github.com/edgerun/edgerun/model"
	"github.com/edgerun/edgerun/model/container"
	"github.com/edgerun/edgerun/runtime/cache"
)

// The kinds of cache files: graphs after all passes, and what kernels read of their constants.
const (
	graphKind  = "graph"
	packedKind = "packed"
)

// Load is Read and New by way of the cache that o names: what passes make of the model is taken from there, or left there for the next process. The
// signatures of an .edge file are verified each time, and the cache is asked for the model with exactly the content that they are of.
func Load(path string, r ReadOptions, o Options) (*Source, *Model, error) {
	s, m, err := load(path, r, o)
	if m != nil {
		m.garbage.Store(true)
	}
	return s, m, err
}

func load(path string, r ReadOptions, o Options) (_ *Source, _ *Model, err error) {
	defer mem.Recover(&err, debug.SetPanicOnFault(true))
	format, err := sniff(path)
	if err != nil {
		return nil, nil, err
	}
	s := &Source{Path: path, Format: format}
	var dir *cache.Dir
	if o.Cache != "" && o.AfterPass == nil && cache.Build() != "" {
		dir, _ = cache.Open(o.Cache, o.CacheLimit)
	}
	if dir == nil {
		if err := s.read(r, nil); err != nil {
			return nil, nil, err
		}
		m, err := New(s.Graph, o)
		return s, m, err
	}
	var f *container.File
	id := ""
	var before os.FileInfo
	if format == "edge" {
		if f, err = s.openEdge(r); err != nil {
			return nil, nil, err
		}
		defer f.Close()
		id = f.Digest()
	} else {
		if before, err = os.Stat(path); err != nil {
			return nil, nil, err
		}
		if s.SourceSHA256, err = hashFile(path); err != nil {
			return nil, nil, err
		}
		id = s.SourceSHA256
	}
	key := graphKey(format, id, r, o)
	if m := fromCache(dir, key, s, o, false); m != nil {
		if f != nil {
			if err := s.readEdge(f, false); err != nil {
				return nil, nil, err
			}
		}
		return s, m, nil
	}
	if err := s.read(r, f); err != nil {
		return nil, nil, err
	}
	scratch, _ := dir.Scratch()
	m, err := newModel(s.Graph, o, scratch)
	if err != nil {
		return s, nil, err
	}
	// What was hashed must be what was read.
	if after, err := os.Stat(path); s.external || format != "edge" && (err != nil || !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) || before.Size() != after.Size()) {
		return s, m, nil
	}
	if m.leave(dir, key, s.Precision) != nil {
		return s, m, nil
	}
	// From here on the constants lie in the cache's file, whose pages come when they are needed.
	if c := fromCache(dir, key, s, o, true); c != nil {
		m, s.Graph = c, nil
		if s.Contents != nil {
			s.Contents.Graph = nil
		}
	}
	return s, m, nil
}

// graphKey names everything that the graph after all passes follows from.
func graphKey(format, id string, r ReadOptions, o Options) cache.Key {
	o = o.withDefaults()
	if r.MaxMemory == 0 {
		r.MaxMemory = DefaultMaxMemory
	}
	skip := slices.Clone(o.SkipPasses)
	slices.Sort(skip)
	return cache.KeyOf(append([]string{"graph", cache.Build(), goruntime.GOARCH, format, id, r.Precision, strconv.FormatBool(r.ExposeStates),
		strconv.Itoa(r.MaxMemory), strconv.Itoa(o.MaxMemory)}, skip...)...)
}

// about is what a Model and its Source know beside the graph.
type about struct {
	Precision       string
	Inputs, Outputs []Info
}

// leave writes the model's graph into the cache.
func (m *Model) leave(dir *cache.Dir, key cache.Key, p num.Numerics) error {
	for _, list := range [][]Info{m.inputs, m.outputs} {
		for _, f := range list {
			if !utf8.ValidString(f.Name) || slices.ContainsFunc(f.Dims, func(s string) bool { return !utf8.ValidString(s) }) {
				return fmt.Errorf("a name that is no UTF-8")
			}
		}
	}
	flat, err := container.Flatten(m.graph)
	if err != nil {
		return err
	}
	meta, err := json.Marshal(about{p.String(), m.inputs, m.outputs})
	if err != nil {
		return err
	}
	sections := []cache.Section{{Name: "about", Data: meta}, {Name: "structure", Data: flat.Structure}}
	// Small tensors come first, so that reading them brings nothing of the large ones.
	var large []cache.Section
	for i, b := range flat.Data {
		if s := (cache.Section{Name: strconv.Itoa(i), Data: b}); len(b) < 1<<12 {
			sections = append(sections, s)
		} else {
			large = append(large, s)
		}
	}
	return dir.Write(graphKind, key, append(sections, large...))
}

// fromCache makes a model of what is in the cache, by this process just now or an earlier one; nil where there is nothing of use.
func fromCache(dir *cache.Dir, key cache.Key, s *Source, o Options, now bool) *Model {
	var f *cache.File
	var err error
	defer mem.Recover(&err, debug.SetPanicOnFault(true))
	if now {
		f, err = dir.Reread(graphKind, key)
	} else {
		f, err = dir.Read(graphKind, key, false)
	}
	if err != nil {
		return nil
	}
	var a about
	meta, _ := f.Find("about")
	if json.Unmarshal(meta, &a) != nil {
		return nil
	}
	p, err := num.Parse(a.Precision)
	if err != nil {
		return nil
	}
	flat := container.Flat{}
	flat.Structure, _ = f.Find("structure")
	for i := 0; ; i++ {
		b, ok := f.Find(strconv.Itoa(i))
		if !ok {
			break
		}
		flat.Data = append(flat.Data, b)
	}
	g, err := flat.Graph()
	if err != nil || len(g.Inputs) != len(a.Inputs) || len(g.Outputs) != len(a.Outputs) || model.Verify(g) != nil {
		return nil
	}
	g.Keep = f
	m := &Model{graph: g, meta: g.Meta, opts: o.withDefaults(), plans: map[string]*list.Element{}, inputs: a.Inputs, outputs: a.Outputs, consts: dataOf(g)}
	m.packed = newPacked(dir, key)
	s.Precision = p
	return m
}

// packed is what is computed of a model's constants, in the cache. Its methods work on nil, too.
type packed struct {
	dir *cache.Dir
	key cache.Key

	file *cache.File // what was there

	mu      sync.Mutex
	added   []cache.Section
	kept    []*mem.Block // of added
	written int          // of added
	later   *time.Timer
}

// newPacked opens the file that goes with a graph's.
func newPacked(dir *cache.Dir, graph cache.Key) *packed {
	p := &packed{dir: dir, key: packedKey(graph, kernels.Here().Features)}
	p.file, _ = dir.Read(packedKind, p.key, true)
	return p
}

// packedKey is of a graph and of the features that rows of kernels are chosen by.
func packedKey(graph cache.Key, f cpu.Features) cache.Key {
	return cache.KeyOf("packed", string(graph[:]), f.String())
}

// sectionName names what is made of constant number n of the graph, which has size bytes.
func sectionName(n, size int, kind string) string { return fmt.Sprintf("%d/%d/%s", n, size, kind) }

// find returns what an earlier process has made, in as many bytes.
func (p *packed) find(number, size int, kind string, n int) *mem.Block {
	if p == nil || p.file == nil {
		return nil
	}
	b, ok := p.file.Find(sectionName(number, size, kind))
	if !ok || len(b) != n {
		return nil
	}
	return &mem.Block{Data: b}
}

// add takes what this process has made.
func (p *packed) add(number, size int, kind string, b *mem.Block) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.added = append(p.added, cache.Section{Name: sectionName(number, size, kind), Data: b.Data})
	p.kept = append(p.kept, b)
}

// writeDelay is how long writing waits for whoever wants a result first.
const writeDelay = time.Second

// writeLater has what was added written, soon.
func (p *packed) writeLater() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.written < len(p.added) && p.later == nil {
		p.later = time.AfterFunc(writeDelay, p.write)
	}
}

// write writes what was added, beside what was there. What cannot be written is left out.
func (p *packed) write() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.later != nil {
		p.later.Stop()
		p.later = nil
	}
	if p.written == len(p.added) {
		return
	}
	p.written = len(p.added)
	all := slices.Clone(p.added)
	if p.file != nil {
		have := map[string]bool{}
		for _, s := range all {
			have[s.Name] = true
		}
		for _, s := range p.file.Sections {
			if !have[s.Name] {
				all = append(all, s)
			}
		}
	}
	_ = p.dir.Write(packedKind, p.key, all)
	goruntime.KeepAlive(p)
	debug.FreeOSMemory() // what loading took
}
