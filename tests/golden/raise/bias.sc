; run: raise
; idempotent
; rtol 1e-6
graph @g(%x: f32[n,8], %i: f32[1,2,6,6]) -> (%a, %b, %c) {
  %w = const @w : f32[8,4]
  %v = const @v : f32[4]
  %1 = matmul %x, %w : f32[n,4] from "MatMul"
  %a = add %v, %1 : f32[n,4] from "Add"
  %u = const @u : f32[1,4]
  %2 = gemm %x, %w : f32[n,4] from "Gemm"
  %b = add %2, %u : f32[n,4] from "Plus"
  %k = const @k : f32[3,2,3,3]
  %l = const @l : f32[3,1,1]
  %3 = conv %i, %k {strides = [1,1], pads = [0,0,0,0], dilations = [1,1]} : f32[1,3,4,4] from "Conv"
  %c = add %3, %l : f32[1,3,4,4] from "Bias"
}
; --- the addend joins the product as its third operand
graph @g(%x: f32[n,8], %i: f32[1,2,6,6]) -> (%a, %b, %c) {
  %w = const @w : f32[8,4]
  %v = const @v : f32[4]
  %a = matmul %x, %w, %v : f32[n,4] from "MatMul", "Add"
  %u = const @u : f32[4] from "Gemm", "Plus"
  %b = gemm %x, %w, %u : f32[n,4] from "Gemm", "Plus"
  %k = const @k : f32[3,2,3,3]
  %l = const @l : f32[3] from "Conv", "Bias"
  %c = conv %i, %k, %l {strides = [1,1], pads = [0,0,0,0], dilations = [1,1]} : f32[1,3,4,4] from "Conv", "Bias"
}
