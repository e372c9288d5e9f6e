package runtime

import (
	"sync"

	"github.com/edgerun/edgerun/internal/mem"
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/runtime/op"
)

// planStore is what the instances of one plan see: what comes from the graph's constants is kept with the model, for all
// plans, and what comes from constants that were made while planning goes with the plan.
type planStore struct {
	model *Model
	plan  *planned
}

// Get implements op.Store.
func (s planStore) Get(t *tensor.Tensor, kind string, make func() any) any {
	if len(t.Data) == 0 {
		return make()
	}
	return s.of(t).get(storeKey{&t.Data[0], len(t.Data), kind, false}, func() any {
		defer mem.Drop(t.Data)
		return make()
	})
}

// Block implements op.Store.
func (s planStore) Block(t *tensor.Tensor, kind string, n int, fill func(dst []byte)) []byte {
	if len(t.Data) == 0 {
		b := tensor.AlignedBytes(n)
		fill(b)
		return b
	}
	return s.of(t).get(storeKey{&t.Data[0], len(t.Data), kind, true}, func() any {
		number, own := s.model.consts[&t.Data[0]]
		if own {
			if b := s.model.packed.find(number, len(t.Data), kind, n); b != nil {
				return b
			}
		}
		defer mem.Drop(t.Data)
		b := &mem.Block{}
		if n < leastBlock {
			b.Data = tensor.AlignedBytes(n)
		} else {
			b = mem.NewBlock(n)
		}
		fill(b.Data)
		if own {
			s.model.packed.add(number, len(t.Data), kind, b)
		}
		return b
	}).(*mem.Block).Data
}

// leastBlock is the size from which on what is packed lies beside the heap, in bytes.
const leastBlock = 16 << 10

func (s planStore) of(t *tensor.Tensor) *store {
	if _, ok := s.model.consts[&t.Data[0]]; ok {
		return &s.model.store
	}
	return &s.plan.store
}

var _ op.Store = planStore{}

// store keeps what is computed from constants, packed weights say, once for all sessions.
type store struct {
	mu   sync.Mutex
	made map[storeKey]func() any
}

type storeKey struct {
	data  *byte
	size  int
	kind  string
	block bool
}

// get returns what make makes, or made. A panic of it comes again each time.
func (s *store) get(key storeKey, make func() any) any {
	s.mu.Lock()
	if s.made == nil {
		s.made = map[storeKey]func() any{}
	}
	f := s.made[key]
	if f == nil {
		f = sync.OnceValue(make)
		s.made[key] = f
	}
	s.mu.Unlock()
	return f()
}
