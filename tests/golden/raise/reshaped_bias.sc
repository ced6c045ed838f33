; run: raise
; idempotent
; rtol 1e-6
graph @g(%x: f32[n,8]) -> (%a, %b, %c) {
  %w = const @w : f32[8,12]
  %v = const @v : f32[1,3,4]
  %1 = matmul %x, %w : f32[n,12] from "MatMul"
  %2 = reshape %1 : f32[1,n,3,4] from "Reshape"
  %a = add %2, %v : f32[1,n,3,4] from "Add"
  %k = const @k : f32[8,6]
  %u = const @u : f32[2]
  %3 = gemm %x, %k : f32[n,6] from "Gemm"
  %4 = reshape %3 : f32[n,3,2] from "Split"
  %b = add %4, %u : f32[n,3,2] from "not all parts"
  %m = const @m : f32[8,4]
  %5 = gemm %x, %m : f32[n,4] from "Gemm_2"
  %6 = reshape %5 : f32[2*n,2] from "smaller"
  %c = tanh %6 : f32[2*n,2] from "tanh"
}
; --- where the addend has all parts of the last axis it is the product's bias
graph @g(%x: f32[n,8]) -> (%a, %b, %c) {
  %w = const @w : f32[8,12]
  %v = const @v : f32[12] from "MatMul", "Add"
  %5 = matmul %x, %w, %v : f32[n,12] from "MatMul", "Add"
  %a = reshape %5 : f32[1,n,3,4] from "MatMul", "Add"
  %k = const @k : f32[8,6]
  %8 = gemm %x, %k : f32[n,6] from "Gemm"
  %9 = reshape %8 : f32[n,3,2] from "Split"
  %u = const @u : f32[2]
  %b = add %9, %u : f32[n,3,2] from "not all parts"
  %m = const @m : f32[8,4]
  %13 = gemm %x, %m : f32[n,4] from "Gemm_2"
  %14 = reshape %13 : f32[2*n,2] from "smaller"
  %c = tanh %14 : f32[2*n,2] from "tanh"
}
