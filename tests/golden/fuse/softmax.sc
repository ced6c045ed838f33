; run: fuse
graph @g(%x: f32[n,4,8], %m: f32[4,8]) -> (%y) {
  %1 = add %x, %m : f32[n,4,8] from "mask"
  %2 = reduce_max %1 {axes = [2]} : f32[n,4,1] from "Softmax"
  %3 = sub %1, %2 : f32[n,4,8] from "Softmax"
  %4 = exp %3 : f32[n,4,8] from "Softmax"
  %5 = reduce_sum %4 {axes = [2]} : f32[n,4,1] from "Softmax"
  %y = div %4, %5 : f32[n,4,8] from "Softmax"
}
; --- a row-wise chain is one kernel, with what comes before it
graph @g(%x: f32[n,4,8], %m: f32[4,8]) -> (%y) {
  %y = kernel %x, %m {class = reduce} : f32[n,4,8] from "mask", "Softmax"
    graph @reduce(%2: f32[n,4,8], %3: f32[4,8]) -> (%9 as y0) {
      %4 = add %2, %3 : f32[n,4,8]
      %5 = reduce_max %4 {axes = [2]} : f32[n,4,1]
      %6 = sub %4, %5 : f32[n,4,8]
      %7 = exp %6 : f32[n,4,8]
      %8 = reduce_sum %7 {axes = [2]} : f32[n,4,1]
      %9 = div %7, %8 : f32[n,4,8]
    }
}
