; run: fuse
graph @g(%x: f32[n,8], %w: f32[8,8], %v: f32[8]) -> (%y, %z, %c) {
  %1 = matmul %x, %w : f32[n,8] from "m1"
  %2 = relu %1 : f32[n,8] from "relu"
  %3 = cast %2 : f8e4m3fn[n,8] from "cast"
  %4 = matmul %3, %w : f32[n,8] from "m2"
  %y = add %2, %4 : f32[n,8] from "residual"
  %6 = add %x, %v : f32[n,8] from "x"
  %7 = reduce_max %6 {axes = [1]} : f32[n,1] from "norm"
  %z = sub %6, %7 : f32[n,8] from "norm"
  %c = exp %6 : f32[n,8] from "late"
}
; --- what reads a group's result element by element joins it, and both are stored; but for what nobody else reads
graph @g(%x: f32[n,8], %w: f32[8,8], %v: f32[8]) -> (%y, %z, %c) {
  %5, %6 = kernel %x, %w {class = contract} : f32[n,8], f8e4m3fn[n,8] from "m1", "relu", "cast"
    graph @contract(%2: f32[n,8], %3: f32[8,8]) -> (%5 as y0, %6 as y1) {
      %4 = matmul %2, %3 : f32[n,8]
      %5 = relu %4 : f32[n,8]
      %6 = cast %5 : f8e4m3fn[n,8]
    }
  %y = kernel %6, %w, %5 {class = contract} : f32[n,8] from "m2", "residual"
    graph @contract(%2: f8e4m3fn[n,8], %3: f32[8,8], %4: f32[n,8]) -> (%6 as y0) {
      %5 = matmul %2, %3 : f32[n,8]
      %6 = add %4, %5 : f32[n,8]
    }
  %z, %c = kernel %x, %v {class = reduce} : f32[n,8], f32[n,8] from "x", "norm", "late"
    graph @reduce(%2: f32[n,8], %3: f32[8]) -> (%6 as y0, %7 as y1) {
      %4 = add %2, %3 : f32[n,8]
      %5 = reduce_max %4 {axes = [1]} : f32[n,1]
      %6 = sub %4, %5 : f32[n,8]
      %7 = exp %4 : f32[n,8]
    }
}
