; run: fuse
graph @g(%x: f32[n,4], %b: f32[4]) -> (%y, %z) {
  %two = const 2 : f32[]
  %1 = add %x, %b : f32[n,4] from "add"
  %2 = mul %1, %two : f32[n,4] from "mul"
  %3 = sigmoid %2 : f32[n,4] from "sigmoid"
  %y = mul %2, %3 : f32[n,4] from "silu"
  %4 = exp %b : f32[4] from "exp"
  %z = mul %y, %4 : f32[n,4] from "z"
}
; --- one kernel for what has one iteration space; y is seen outside and ends one
graph @g(%x: f32[n,4], %b: f32[4]) -> (%y, %z) {
  %y = kernel %x, %b {class = map} : f32[n,4] from "add", "mul", "sigmoid", "silu"
    graph @map(%2: f32[n,4], %3: f32[4]) -> (%8 as y0) {
      %4 = add %2, %3 : f32[n,4]
      %5 = const 2 : f32[]
      %6 = mul %4, %5 : f32[n,4]
      %7 = sigmoid %6 : f32[n,4]
      %8 = mul %6, %7 : f32[n,4]
    }
  %5 = kernel %b {class = map} : f32[4] from "exp"
    graph @map(%2: f32[4]) -> (%3 as y0) {
      %3 = exp %2 : f32[4]
    }
  %z = kernel %y, %5 {class = map} : f32[n,4] from "z"
    graph @map(%2: f32[n,4], %3: f32[4]) -> (%4 as y0) {
      %4 = mul %2, %3 : f32[n,4]
    }
}
