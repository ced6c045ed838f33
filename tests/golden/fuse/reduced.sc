; run: fuse
graph @g(%x: f32[n,8], %m: f32[n,8], %m2: f32[n,1]) -> (%y, %z) {
  %1 = mul %x, %x : f32[n,8] from "square"
  %2 = reduce_sum %1 {axes = [1], keepdims = 0} : f32[n] from "sum"
  %y = sqrt %2 : f32[n] from "norm"
  %3 = sqrt %m2 : f32[n,1] from "sqrt of an input"
  %z = mul %m, %3 : f32[n,8] from "z"
}
; --- y is computed before the view that drops its axis; sqrt has no reduction to join
graph @g(%x: f32[n,8], %m: f32[n,8], %m2: f32[n,1]) -> (%y, %z) {
  %5 = kernel %x {class = reduce} : f32[n,1] from "square", "sum", "norm"
    graph @reduce(%2: f32[n,8]) -> (%5 as y0) {
      %3 = mul %2, %2 : f32[n,8]
      %4 = reduce_sum %3 {axes = [1]} : f32[n,1]
      %5 = sqrt %4 : f32[n,1]
    }
  %6 = kernel %m2 {class = map} : f32[n,1] from "sqrt of an input"
    graph @map(%2: f32[n,1]) -> (%3 as y0) {
      %3 = sqrt %2 : f32[n,1]
    }
  %z = kernel %m, %6 {class = map} : f32[n,8] from "z"
    graph @map(%2: f32[n,8], %3: f32[n,1]) -> (%4 as y0) {
      %4 = mul %2, %3 : f32[n,8]
    }
  %y = kernel %5 {class = view} : f32[n] from "sum"
    graph @view(%2: f32[n,1]) -> (%3 as y0) {
      %3 = reshape %2 : f32[n]
    }
}
