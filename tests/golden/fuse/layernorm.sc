; run: fuse
graph @g(%x: f32[n,8], %g: f32[8]) -> (%y) {
  %eps = const 1e-05 : f32[]
  %1 = reduce_mean %x {axes = [1]} : f32[n,1] from "ln"
  %2 = sub %x, %1 : f32[n,8] from "ln"
  %3 = mul %2, %2 : f32[n,8] from "ln"
  %4 = reduce_mean %3 {axes = [1], keepdims = 0} : f32[n] from "ln"
  %5 = unsqueeze %4 {axes = [1]} : f32[n,1] from "ln"
  %6 = add %5, %eps : f32[n,1] from "ln"
  %7 = sqrt %6 : f32[n,1] from "ln"
  %8 = reciprocal %7 : f32[n,1] from "ln"
  %9 = mul %2, %8 : f32[n,8] from "ln"
  %y = mul %9, %g : f32[n,8] from "ln"
}
; --- what works on the reduced rows joins; a reduction that drops its axes is one that keeps them
graph @g(%x: f32[n,8], %g: f32[8]) -> (%y) {
  %y = kernel %x, %g {class = reduce} : f32[n,8] from "ln"
    graph @reduce(%2: f32[n,8], %3: f32[8]) -> (%13 as y0) {
      %4 = reduce_mean %2 {axes = [1]} : f32[n,1]
      %5 = sub %2, %4 : f32[n,8]
      %6 = mul %5, %5 : f32[n,8]
      %7 = reduce_mean %6 {axes = [1]} : f32[n,1]
      %8 = const 1e-05 : f32[]
      %9 = add %7, %8 : f32[n,1]
      %10 = sqrt %9 : f32[n,1]
      %11 = reciprocal %10 : f32[n,1]
      %12 = mul %5, %11 : f32[n,8]
      %13 = mul %12, %3 : f32[n,8]
    }
}
