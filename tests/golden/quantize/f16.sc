; run: scalify quantize settle --recipe f16
; rtol 0.01
; blob w rms 0.02
graph @g(%x: f32[2,64]) -> (%y) {
  %w = const @w : f32[64,10]
  %b = const [1,2,3,4,5,6,7,8,9,10] : f32[10]
  %s = gemm %x, %w, %b : f32[2,10] from "fc"
  %y = relu %s : f32[2,10]
}
; --- operands in f16, the sum in f32
graph @g [scaled, quantized] (%x: f32[2,64]) -> (%y) {
  %3 = rebalance %x, -2 : f32[2,64] * 2^-2 from "fc"
  %4 = cast %3 : f16[2,64] * 2^-2 from "fc"
  %w = const @w : f16[64,10] * 2^-20
  %b = const [1,2,3,4,5,6,7,8,9,10] : f32[10] * 2^-22
  %s = gemm %4, %w, %b {out = f32} : f32[2,10] * 2^-22 from "fc"
  %8 = relu %s : f32[2,10] * 2^-22
  %y = rebalance %8, 0 : f32[2,10]
}
