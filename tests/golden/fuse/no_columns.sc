; run: fuse
graph @g(%y: f32[1,3,0]) -> (%o) {
  %x = reshape %y : f32[5,0] from "Reshape"
  %w = const [] as f32[0] : f32[0,2] from "MatMul"
  %o = matmul %x, %w : f32[5,2] from "MatMul"
}
; --- of no columns there may be more rows than before: the product keeps its own
graph @g(%y: f32[1,3,0]) -> (%o) {
  %w = const [] as f32[0] : f32[0,2] from "MatMul"
  %o = kernel %y, %w {class = contract} : f32[5,2] from "Reshape", "MatMul"
    graph @contract(%2: f32[1,3,0], %3: f32[0,2]) -> (%5 as y0) {
      %4 = reshape %2 : f32[5,0]
      %5 = matmul %4, %3 : f32[5,2]
    }
}
