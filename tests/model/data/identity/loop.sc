; an LSTM's gates, written out: what is carried, read from outside and gathered
graph @g(%x: f32[5,3,16], %w: f32[16,16], %r: f32[16,16], %h: f32[3,16]) -> (%last, %all) {
  %t = const 5 : i64[]
  %c = const true : bool[]
  %big = const 1000 : f32[]
  %v = mul %w, %big : f32[16,16] from "v"
  %last, %all = loop %t, %c, %h, %x, %v, %r {carried = 1} : f32[3,16], f32[5,3,16] from "loop"
    graph @body(%i: i64[], %h: f32[3,16], %x: f32[5,3,16], %w: f32[16,16], %r: f32[16,16]) -> (%on, %next, %gate) {
      %on = const true : bool[]
      %e = gather %x, %i {axis = 0} : f32[3,16] from "turn"
      %a = matmul %e, %w : f32[3,16] from "input"
      %b = matmul %h, %r : f32[3,16] from "carried"
      %"the sum" = add %a, %b : f32[3,16] from "sum"
      %g = sigmoid %"the sum" : f32[3,16] from "gate"
      %u = tanh %"the sum" : f32[3,16] from "tanh"
      %gate = mul %g, %u : f32[3,16] from "gated"
      %three = const 3 : f32[]
      %p = mul %gate, %three : f32[3,16] from "grown"
      %next = add %p, %h : f32[3,16] from "next"
    }
}
