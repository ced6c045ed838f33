; run: scalify quantize settle --recipe fp8-weights
; rtol 0.1
graph @far(%x: f32[4,2], %p: f32[1,1,2,2]) -> (%y, %z, %q) {
  %w = const [1e-28,1,2e-28,3] as f32[2,2] : f32[2,2]
  %b = const [3e9,4] as f32[2] : f32[2]
  %c = const [3e6,4] as f32[2] : f32[2]
  %y = gemm %x, %w, %b : f32[4,2] from "fc"
  %z = gemm %x, %w, %c : f32[4,2] from "near"
  %k = const [1e-28,2] as f32[2,1,1,1] : f32[2,1,1,1]
  %q = conv %p, %k, %b : f32[1,2,2,2] from "conv"
}
; --- a bias that f32 has no room for once it is divided by its channel's number stands behind the product
graph @far [scaled, quantized] (%x: f32[4,2], %p: f32[1,1,2,2]) -> (%y, %z, %q) {
  %w = const @fold.354ecad887295dc6 : f8e4m3fn[2,2]
  %5 = gemm %x, %w : f32[4,2] from "fc"
  %6 = const @fold.50dcaaee56ec8cae : f32[2] from "fc"
  %7 = mul %5, %6 : f32[4,2] from "fc"
  %b = const @fold.d0a3b873caf02537 : f32[2] from "fc"
  %y = add %7, %b : f32[4,2] from "fc"
  %c = const @fold.a21b721549435be1 : f32[2] from "near"
  %11 = gemm %x, %w, %c : f32[4,2] from "near"
  %z = mul %11, %6 : f32[4,2] from "near"
  %k = const @fold.2296e03aad3e7676 : f8e4m3fn[2,1,1,1]
  %14 = conv %p, %k : f32[1,2,2,2] from "conv"
  %15 = const @fold.47c772a7cdbc7649 : f32[2,1,1] from "conv"
  %16 = mul %14, %15 : f32[1,2,2,2] from "conv"
  %b~2 = const @fold.6b1763b7ea42b1e4 : f32[2,1,1] from "conv"
  %q = add %16, %b~2 : f32[1,2,2,2] from "conv"
}
