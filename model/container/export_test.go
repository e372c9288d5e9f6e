package container

import "github.com/edgerun/edgerun/model"

// For tests that stand outside of the package.

// RandomGraph makes a graph that need not make sense.
func RandomGraph(seed uint64) *model.Graph { return newGen(seed).graph(0) }

// EveryPart is a model that has every part.
func EveryPart() *Model { return small() }

// Encodings is the number of encodings of chunks.
const Encodings = int(encodings)
