// Package conform runs the ONNX backend test cases and compares the outputs.
//
// A source is a folder or a .tar.zst archive. A folder in it that holds model.onnx is a case; test_data_set_K below it
// holds input_I.pb and output_I.pb. In a folder named light, NAME.onnx with NAME_output_I.pb are cases whose inputs are
// the ramp i/n, as the backend tests of the onnx package define it. The caller brings the runtime, as an Exec.
//
// Importers: cmd and tests.
package conform
