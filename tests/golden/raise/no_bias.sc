; run: raise
; idempotent
graph @g(%x: f32[4,8], %r: f32[4,4]) -> (%a, %b, %c) {
  %w = const @w : f32[8,4]
  %v = const @v : f32[4]
  %col = const @col : f32[4,1]
  %1 = matmul %x, %w : f32[4,4] from "used twice"
  %a = add %1, %v : f32[4,4] from "a"
  %2 = matmul %1, %r : f32[4,4] from "residual"
  %b = add %2, %r : f32[4,4] from "b"
  %3 = matmul %2, %r : f32[4,4] from "column"
  %c = add %3, %col : f32[4,4] from "c"
}
; --- not where the product is used otherwise, nor for what is no row
graph @g(%x: f32[4,8], %r: f32[4,4]) -> (%a, %b, %c) {
  %w = const @w : f32[8,4]
  %5 = matmul %x, %w : f32[4,4] from "used twice"
  %v = const @v : f32[4]
  %a = add %5, %v : f32[4,4] from "a"
  %8 = matmul %5, %r : f32[4,4] from "residual"
  %b = add %8, %r : f32[4,4] from "b"
  %10 = matmul %8, %r : f32[4,4] from "column"
  %col = const @col : f32[4,1]
  %c = add %10, %col : f32[4,4] from "c"
}
