package tflite

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// builtinNames are the schema's names, by number.
var builtinNames = strings.Fields(`
ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE EMBEDDING_LOOKUP FLOOR
FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION LOGISTIC LSH_PROJECTION LSTM
MAX_POOL_2D MUL RELU RELU_N1_TO_1 RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH SVDF TANH CONCAT_EMBEDDINGS
SKIP_GRAM CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN GATHER BATCH_TO_SPACE_ND
SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE BIDIRECTIONAL_SEQUENCE_RNN
EXP TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM ARG_MAX MINIMUM LESS NEG PADV2
GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV SPARSE_TO_DENSE TILE EXPAND_DIMS EQUAL NOT_EQUAL LOG
SUM SQRT RSQRT SHAPE POW ARG_MIN FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT
UNPACK REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE RESIZE_NEAREST_NEIGHBOR LEAKY_RELU
SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL REVERSE_V2 ADD_N GATHER_ND COS WHERE RANK ELU REVERSE_SEQUENCE
MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF WHILE NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5
SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM BATCH_MATMUL PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO
RFFT2D CONV_3D IMAG REAL COMPLEX_ABS HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL
CONV_3D_TRANSPOSE VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE
RANDOM_UNIFORM MULTINOMIAL GELU DYNAMIC_UPDATE_SLICE RELU_0_TO_1 UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX
UNSORTED_SEGMENT_SUM ATAN2 UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR RIGHT_SHIFT STABLEHLO_LOGISTIC STABLEHLO_ADD
STABLEHLO_DIVIDE STABLEHLO_MULTIPLY STABLEHLO_MAXIMUM STABLEHLO_RESHAPE STABLEHLO_CLAMP STABLEHLO_CONCATENATE
STABLEHLO_BROADCAST_IN_DIM STABLEHLO_CONVOLUTION STABLEHLO_SLICE STABLEHLO_CUSTOM_CALL STABLEHLO_REDUCE STABLEHLO_ABS
STABLEHLO_AND STABLEHLO_COSINE STABLEHLO_EXPONENTIAL STABLEHLO_FLOOR STABLEHLO_LOG STABLEHLO_MINIMUM STABLEHLO_NEGATE
STABLEHLO_OR STABLEHLO_POWER STABLEHLO_REMAINDER STABLEHLO_RSQRT STABLEHLO_SELECT STABLEHLO_SUBTRACT STABLEHLO_TANH
STABLEHLO_SCATTER STABLEHLO_COMPARE STABLEHLO_CONVERT STABLEHLO_DYNAMIC_SLICE STABLEHLO_DYNAMIC_UPDATE_SLICE
STABLEHLO_PAD STABLEHLO_IOTA STABLEHLO_DOT_GENERAL STABLEHLO_REDUCE_WINDOW STABLEHLO_SORT STABLEHLO_WHILE
STABLEHLO_GATHER STABLEHLO_TRANSPOSE DILATE STABLEHLO_RNG_BIT_GENERATOR REDUCE_WINDOW STABLEHLO_COMPOSITE
STABLEHLO_SHIFT_LEFT STABLEHLO_CBRT STABLEHLO_CASE
`)

// BuiltinName names a builtin operator by its number.
func BuiltinName(code int) string {
	if code >= 0 && code < len(builtinNames) {
		return builtinNames[code]
	}
	return fmt.Sprintf("builtin %d", code)
}

// typeName names an element type of the schema.
func typeName(n int) string {
	names := map[int]string{11: "complex128", typeResource: "resource", typeVariant: "variant"}
	if s, ok := names[n]; ok {
		return s
	}
	return fmt.Sprint(n)
}

// refused are builtin operators that are not translated, and why.
var refused = map[string]string{
	"HASHTABLE_LOOKUP":                 "it looks keys up in an input tensor, which no converter of today writes",
	"LSH_PROJECTION":                   "its hash function is not specified",
	"CONCAT_EMBEDDINGS":                "no runtime implements it",
	"SKIP_GRAM":                        "it splits texts, which no converter of today writes",
	"DELEGATE":                         "it stands for a part of the graph that a runtime compiled for itself; use the model as it was converted",
	"PLACEHOLDER_FOR_GREATER_OP_CODES": "it is a mark of the file format, no operator",
	"EMBEDDING_LOOKUP_SPARSE":          "sparse ids with weights; no converter of today writes it",
	"DILATE":                           "it only comes from models that were written in StableHLO",
	"REDUCE_WINDOW":                    "it only comes from models that were written in StableHLO; pools are POOL_2D",
	"STABLEHLO_CONVOLUTION":            "convert it to CONV_2D",
	"STABLEHLO_CUSTOM_CALL":            "what it calls is not part of the model",
	"STABLEHLO_REDUCE":                 "reductions by a subgraph; convert it to SUM, REDUCE_MAX and the like",
	"STABLEHLO_SCATTER":                "scatters by a subgraph; convert it to SCATTER_ND",
	"STABLEHLO_DOT_GENERAL":            "convert it to BATCH_MATMUL",
	"STABLEHLO_REDUCE_WINDOW":          "windows by a subgraph; convert it to a pool",
	"STABLEHLO_SORT":                   "sorts by a subgraph; convert it to TOPK_V2",
	"STABLEHLO_GATHER":                 "convert it to GATHER or GATHER_ND",
	"STABLEHLO_RNG_BIT_GENERATOR":      "random bits are not the same from runtime to runtime",
	"STABLEHLO_CASE":                   "convert it to IF",
}

const unknownOperator = "there is no such operator here"

func refusedBuiltin(name string) string {
	if why, ok := refused[name]; ok {
		return why
	}
	return unknownOperator
}

func refusedCustom(name string) string {
	if strings.HasPrefix(name, "Flex") {
		return "it is TensorFlow's own operator " + strings.TrimPrefix(name, "Flex") + "; convert the model without SELECT_TF_OPS"
	}
	if why, ok := refusedCustoms[name]; ok {
		return why
	}
	return "there is no such custom operator here"
}

// Operator is a line of the table of TFLite's operators.
type Operator struct {
	Name    string
	Code    int    // -1 of a custom operator
	Complex bool   // takes or makes complex64
	Refused string // why it is not translated; "" where it is
}

// Operators lists the builtin operators in the order of their numbers, then the custom ones by name.
func Operators() []Operator {
	var list []Operator
	known, complexes := builtins(), complexBuiltins()
	for code, name := range builtinNames {
		if code == builtinCustom {
			continue
		}
		o := Operator{Name: name, Code: code, Complex: complexes[name] != nil}
		if known[name] == nil && complexes[name] == nil {
			o.Refused = refusedBuiltin(name)
		}
		list = append(list, o)
	}
	for _, name := range slices.Sorted(maps.Keys(customs)) {
		list = append(list, Operator{Name: name, Code: -1})
	}
	for _, name := range slices.Sorted(maps.Keys(refusedCustoms)) {
		list = append(list, Operator{Name: name, Code: -1, Refused: refusedCustoms[name]})
	}
	return list
}
