; run: scalify quantize --recipe fp8-weights --scale tensor
; rtol 0.1
; blob w rms 0.02
graph @g(%x: f32[2,64]) -> (%y) {
  %w = const @w : f32[64,10]
  %b = const [1,2,3,4,5,6,7,8,9,10] : f32[10]
  %s = gemm %x, %w, %b : f32[2,10] from "fc"
  %y = relu %s : f32[2,10]
}
; --- the weight at the least exponent that clips nothing; the result comes back to where it was
graph @g(%x: f32[2,64]) -> (%y) {
  %w = const @w : f8e4m3fn[64,10] * 2^-12
  %b = const [1,2,3,4,5,6,7,8,9,10] : f32[10] * 2^-12
  %s = gemm %x, %w, %b : f32[2,10] * 2^-12 from "fc"
  %6 = rebalance %s, -6 : f32[2,10] * 2^-6 from "fc"
  %7 = rebalance %6, 3 : f32[2,10] * 2^3 from "fc"
  %8 = relu %7 : f32[2,10] * 2^3
  %9 = rebalance %8, 2 : f32[2,10] * 2^2
  %y = rebalance %9, 0 : f32[2,10]
}
