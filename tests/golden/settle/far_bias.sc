; run: scalify quantize settle --recipe f16
; rtol 0.02
; blob w rms 1e-21
; blob k rms 1e-21
graph @far(%x: f32[2,8], %p: f32[1,2,4,4], %s: f32[1]) -> (%y, %z, %q) {
  %c = const [1e-19] as f32[1] : f32[1]
  %h = mul %x, %c : f32[2,8]
  %i = mul %p, %c : f32[1,2,4,4]
  %w = const @w : f32[8,4]
  %b = const [1,2,3,4] as f32[4] : f32[4]
  %y = gemm %h, %w, %b : f32[2,4] from "fc"
  %z = gemm %h, %w, %s : f32[2,4] from "given"
  %k = const @k : f32[4,2,3,3]
  %q = conv %i, %k, %b : f32[1,4,2,2] from "conv"
}
; --- a bias that f32 has no room for stands behind its product
graph @far [scaled, quantized] (%x: f32[2,8], %p: f32[1,2,4,4], %s: f32[1]) -> (%y, %z, %q) {
  %c = const [1e-19] : f32[1]
  %h = mul %x, %c : f32[2,8]
  %i = mul %p, %c : f32[1,2,4,4]
  %8 = rebalance %h, -65 : f32[2,8] * 2^-65 from "fc"
  %9 = cast %8 : f16[2,8] * 2^-65 from "fc"
  %w = const @w : f16[8,4] * 2^-84
  %11 = gemm %9, %w {out = f32} : f32[2,4] * 2^-149 from "fc"
  %12 = rebalance %11, 0 : f32[2,4] from "fc"
  %b = const [1,2,3,4] : f32[4]
  %y = add %12, %b : f32[2,4] from "fc"
  %z = add %12, %s : f32[2,4] from "given"
  %16 = rebalance %i, -65 : f32[1,2,4,4] * 2^-65 from "conv"
  %17 = cast %16 : f16[1,2,4,4] * 2^-65 from "conv"
  %k = const @k : f16[4,2,3,3] * 2^-84
  %19 = conv %17, %k {out = f32} : f32[1,4,2,2] * 2^-149 from "conv"
  %20 = rebalance %19, 0 : f32[1,4,2,2] from "conv"
  %21 = const [1,2,3,4] as f32[4] : f32[4,1,1] from "conv"
  %q = add %20, %21 : f32[1,4,2,2] from "conv"
}
