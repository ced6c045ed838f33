; run: scalify quantize settle --recipe fp8 --scales dynamic-rows
; rtol 0.1
graph @rows(%x: f32[2,4,8]) -> (%y) {
  %w = const @w : f32[8]
  %b = const @b : f32[4]
  %y = matmul %x, %w, %b : f32[2,4] from "fc"
}
; --- times a vector the result has no columns: the factors of rows have its shape
graph @rows(%x: f32[2,4,8]) -> (%y) {
  %3, %4 = quantize %x {block = 8} : f8e4m3fn[2,4,8], f8e8m0[2,4,1] from "fc"
  %5 = cast %4 : f32[2,4,1] from "fc"
  %w = const @w : f8e4m3fn[8] * 2^-8
  %7 = matmul %3, %w : f32[2,4] * 2^-8 from "fc"
  %8 = reshape %5 : f32[2,4] from "fc"
  %9 = mul %7, %8 : f32[2,4] * 2^-8 from "fc"
  %b = const @b : f32[4] * 2^-8
  %11 = add %9, %b : f32[2,4] * 2^-8 from "fc"
  %y = rebalance %11, 0 : f32[2,4] from "fc"
}
