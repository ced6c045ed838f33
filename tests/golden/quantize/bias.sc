; run: scalify quantize settle --recipe fp8-weights
; rtol 0.1
; stats x rms 2 amax 4 finite 32 means 0 1 2 3 -1 0.5 0.25 1 1
; stats p rms 2 amax 4 finite 64 means 2 1.5 -2
graph @bias(%x: f32[4,8], %p: f32[1,2,4,4]) -> (%y, %z, %q) {
  %w = const @w : f32[8,4]
  %b = const [1,2,3,4] as f32[4] : f32[4]
  %f = const @f : f32[3,2,3,3]
  %y = gemm %x, %w, %b : f32[4,4] from "fc"
  %z = matmul %x, %w : f32[4,4] from "bare"
  %q = conv %p, %f {pads = [1,1,1,1]} : f32[1,3,4,4] from "conv"
}
; --- biases take back what the rounding of weights adds on average; where there is none, one is made
graph @bias [scaled, quantized] (%x: f32[4,8], %p: f32[1,2,4,4]) -> (%y, %z, %q) {
  %w = const @fold.74ee9fbb2866f411 : f8e4m3fn[8,4]
  %b = const @fold.2954adb647afad1e : f32[4] from "fc"
  %6 = gemm %x, %w, %b : f32[4,4] from "fc"
  %7 = const @fold.bfb2bfa05c58e2d3 : f32[4] from "fc"
  %y = mul %6, %7 : f32[4,4] from "fc"
  %9 = matmul %x, %w : f32[4,4] from "bare"
  %10 = mul %9, %7 : f32[4,4] from "bare"
  %11 = const @fold.155189e5daf322a6 : f32[4] from "bare"
  %z = add %10, %11 : f32[4,4] from "bare"
  %f = const @fold.afe9e67103d83080 : f8e4m3fn[3,2,3,3]
  %14 = conv %p, %f {pads = [1,1,1,1]} : f32[1,3,4,4] from "conv"
  %15 = const @fold.50981d06f027beef : f32[3,1,1] from "conv"
  %16 = mul %14, %15 : f32[1,3,4,4] from "conv"
  %17 = const @fold.927508c15c1e6fd5 : f32[3,1,1] from "conv"
  %q = add %16, %17 : f32[1,3,4,4] from "conv"
}
