; run: fuse
graph @g(%x: f32[n,4,8], %m: f32[4,1]) -> (%y) {
  %1 = add %x, %m : f32[n,4,8] from "mask"
  %2 = reduce_max %1 {axes = [1]} : f32[n,1,8] from "Softmax"
  %3 = sub %1, %2 : f32[n,4,8] from "Softmax"
  %4 = exp %3 : f32[n,4,8] from "Softmax"
  %5 = reduce_sum %4 {axes = [1]} : f32[n,1,8] from "Softmax"
  %y = div %4, %5 : f32[n,4,8] from "Softmax"
}
; --- over another axis: transposed on the way in, and back by a view
graph @g(%x: f32[n,4,8], %m: f32[4,1]) -> (%y) {
  %4 = kernel %x, %m {class = reduce} : f32[n,8,4] from "mask", "Softmax"
    graph @reduce(%2: f32[n,4,8], %3: f32[4,1]) -> (%12 as y0) {
      %4 = transpose %2 {perm = [0,2,1]} : f32[n,8,4]
      %5 = reshape %3 : f32[1,4,1]
      %6 = transpose %5 {perm = [0,2,1]} : f32[1,1,4]
      %7 = add %4, %6 : f32[n,8,4]
      %8 = reduce_max %7 {axes = [2]} : f32[n,8,1]
      %9 = sub %7, %8 : f32[n,8,4]
      %10 = exp %9 : f32[n,8,4]
      %11 = reduce_sum %10 {axes = [2]} : f32[n,8,1]
      %12 = div %10, %11 : f32[n,8,4]
    }
  %y = kernel %4 {class = view} : f32[n,4,8] from "Softmax"
    graph @view(%2: f32[n,8,4]) -> (%3 as y0) {
      %3 = transpose %2 {perm = [0,2,1]} : f32[n,4,8]
    }
}
