package container

import (
	"github.com/edgerun/edgerun/internal/tensor"
	"github.com/edgerun/edgerun/model"
)

// Model is everything that a .edge file holds, signatures apart.
type Model struct {
	Name, Version string
	// Requires lists the features that a reader must know; Write adds those that the content needs.
	Requires []string
	Graph    *model.Graph
	// Inputs and Outputs are the contract with the caller, in the graph's order. Write derives them from the graph
	// where they are nil.
	Inputs, Outputs []Port
	// Pipeline says what happens before and after the network. Its meaning is package pipeline's.
	Pipeline    *Document
	Labels      []string
	Provenance  *Provenance
	Golden      []Golden
	Histograms  []Histogram
	Certificate *Document
	// Extra holds optional fields that this version does not know, as CBOR.
	Extra map[string][]byte
}

// Port is one input or output as the caller sees it.
type Port struct {
	Name  string
	DType tensor.DType
	Shape tensor.Shape // -1 is an unknown extent, nil an unknown rank
	Dims  []string     // names of unknown extents: nil, or one entry per dimension
	// Layout names the axes, as in "NCHW"; empty where nothing is said.
	Layout string
	Extra  map[string][]byte
}

// Document is an opaque text or binary with the name of its schema.
type Document struct {
	Schema string
	Data   []byte
}

// Provenance says where a model comes from. Hashes are SHA-256, empty where there is nothing to hash.
type Provenance struct {
	SourceFormat string // "onnx", "tflite", ...
	SourceName   string // the file's name without folders
	Source       []byte // hash of the source model
	Calibration  []byte // hash of the calibration data
	Evaluation   []byte // hash of the evaluation data
	Tool         string // name and version of the program that wrote the file
	Options      map[string]string
	// Created is a time in RFC 3339, empty in reproducible files.
	Created string
	Extra   map[string][]byte
}

// Golden is one set of inputs with the outputs that they must give.
type Golden struct {
	Name            string
	Inputs, Outputs []Named
	Tolerance       Tolerance
	Extra           map[string][]byte
}

// Named is a tensor with the name of an input or output.
type Named struct {
	Name   string
	Tensor *tensor.Tensor
}

// Tolerance says what an output must meet; a field that is zero demands nothing. Outputs y of the reference r pass
// where |y-r| <= ATol + RTol*|r| for all elements, the cosine of the angle between y and r is at least Cosine, the
// share of equal elements at least Equal, and, with Top1, the same element is the largest.
type Tolerance struct {
	RTol, ATol, Cosine, Equal float64
	Top1                      bool
	// Extra holds demands that this version does not know. Who finds one cannot say that the outputs pass.
	Extra map[string][]byte
}

// HistogramBins is the number of bins of each histogram.
const HistogramBins = 64

// Histogram counts the values that a tensor took in calibration. Bin i spans [Lo + i*w, Lo + (i+1)*w), w = (Hi-Lo)/64;
// values outside count in the outermost bins.
type Histogram struct {
	Name   string // of the graph's value
	Lo, Hi float32
	Counts [HistogramBins]uint64
}

// Chunk describes one chunk of a file.
type Chunk struct {
	ID         [32]byte // SHA-256 of the decoded bytes
	StoredHash [32]byte // SHA-256 of the stored bytes
	Encoding   Encoding
	Size       int   // decoded bytes
	Stored     int   // stored bytes
	Offset     int64 // of the stored bytes in the file
}
