; run: simplify
; idempotent
graph @g [scaled] (%x: f32[4]) -> (%y) {
  %1 = rebalance %x, 3 : f32[4] * 2^3
  %2 = rebalance %1, -2 : f32[4] * 2^-2
  %3 = relu %2 : f32[4] * 2^-2 from "relu"
  %one = const 1 : f32[] * 2^1
  %4 = mul %3, %one : f32[4] * 2^-1 from "mul"
  %y = rebalance %4, 0 : f32[4]
}
; --- two rebalances in a row are one
graph @g [scaled] (%x: f32[4]) -> (%y) {
  %3 = rebalance %x, -2 : f32[4] * 2^-2
  %4 = relu %3 : f32[4] * 2^-2 from "relu"
  %y = rebalance %4, 0 : f32[4]
}
