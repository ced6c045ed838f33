; run: fuse
graph @g [scaled, quantized] (%a: f32[64], %n: i64[1]) -> (%x, %y) {
  %x = relu %a : f32[64] from "relu"
  %k = bind %n {as = [e]} : i64[1] from "bind"
  %1 = rebalance %x, e : f32[64] * 2^e from "store"
  %2 = tanh %x : f32[64] from "tanh"
  %3 = rebalance %1, 0 : f32[64] from "store"
  %y = add %2, %3 : f32[64] from "sum"
}
; --- what needs a symbol stays behind the node that binds it
graph @g [scaled, quantized, kernels] (%a: f32[64], %n: i64[1]) -> (%x, %y) {
  %x = kernel %a {class = map} : f32[64] from "relu"
    graph @map [scaled, quantized] (%2: f32[64]) -> (%3 as y0) {
      %3 = relu %2 : f32[64]
    }
  %k = bind %n {as = [e]} : i64[1] from "bind"
  %y = kernel %x {class = map} : f32[64] from "store", "tanh", "sum"
    graph @map [scaled, quantized] (%2: f32[64]) -> (%6 as y0) {
      %3 = rebalance %2, e : f32[64] * 2^e
      %4 = tanh %2 : f32[64]
      %5 = rebalance %3, 0 : f32[64]
      %6 = add %4, %5 : f32[64]
    }
}
