; run: fold
; idempotent
graph @g(%x: f32[1,256]) -> (%y, %z) {
  %w = const @w : f32[16,4,4,10]
  %m = reshape %w : f32[256,10] from "Reshape"
  %y = matmul %x, %m : f32[1,10] from "MatMul"
  %u = unsqueeze %w {axes = [0]} : f32[1,16,4,4,10] from "Unsqueeze"
  %z = identity %u : f32[1,16,4,4,10] from "Identity"
}
; --- a view of a constant that keeps its order is that constant; one as large as it is computed
graph @g(%x: f32[1,256]) -> (%y, %u as z) {
  %m = const @w : f32[256,10] from "Reshape"
  %y = matmul %x, %m : f32[1,10] from "MatMul"
  %u = const @w : f32[1,16,4,4,10] from "Unsqueeze"
}
