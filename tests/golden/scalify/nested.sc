; run: scalify
graph @g(%x: f32[4,8], %h: f32[4,8], %t: i64[], %c: bool[]) -> (%last, %all, %y) {
  %k = const 300 : f32[]
  %p = mul %x, %k : f32[4,8] from "large"
  %last, %all = loop %t, %c, %h, %p {as = [0,0,turns,0,0], carried = 1} : f32[4,8], f32[turns,4,8] from "loop"
    graph @body(%i: i64[], %h: f32[4,8], %p: f32[4,8]) -> (%on, %next, %half) {
      %on = const true : bool[]
      %next = add %h, %p : f32[4,8] from "next"
      %f = const 0.125 : f32[]
      %half = mul %next, %f : f32[4,8] from "half"
    }
  %y = if %c, %p : f32[4,8] from "if"
    graph @then(%p: f32[4,8]) -> (%r) {
      %r = relu %p : f32[4,8] from "then"
    }
    graph @else(%p: f32[4,8]) -> (%r) {
      %r = mul %p, %p : f32[4,8] from "else"
    }
}
; --- the loop is entered with exponents as they are, carries the first one, as large as a turn leaves it, and gives its own; both branches give that of the first
graph @g(%x: f32[4,8], %h: f32[4,8], %t: i64[], %c: bool[]) -> (%last, %all, %y) {
  %k = const 300 : f32[] * 2^8
  %p = mul %x, %k : f32[4,8] * 2^8 from "large"
  %8, %9 = loop %t, %c, %h, %p {as = [0,0,turns,0,0], carried = 1} : f32[4,8], f32[turns,4,8] * 2^6 from "loop"
    graph @body(%i: i64[], %h: f32[4,8], %p: f32[4,8] * 2^8) -> (%on, %next, %half) {
      %5 = rebalance %h, 9 : f32[4,8] * 2^9
      %6 = rebalance %p, 9 : f32[4,8] * 2^9 from "next"
      %7 = add %5, %6 : f32[4,8] * 2^9 from "next"
      %f = const 0.125 : f32[] * 2^-3
      %half = mul %7, %f : f32[4,8] * 2^6 from "half"
      %next = rebalance %7, 0 : f32[4,8] from "next"
      %on = const true : bool[]
    }
  %10 = rebalance %8, 9 : f32[4,8] * 2^9 from "loop"
  %11 = if %c, %p : f32[4,8] * 2^8 from "if"
    graph @then(%p: f32[4,8] * 2^8) -> (%r) {
      %r = relu %p : f32[4,8] * 2^8 from "then"
    }
    graph @else(%p: f32[4,8] * 2^8) -> (%r) {
      %3 = mul %p, %p : f32[4,8] * 2^16 from "else"
      %r = rebalance %3, 8 : f32[4,8] * 2^8 from "else"
    }
  %12 = rebalance %11, 16 : f32[4,8] * 2^16 from "if"
  %last = rebalance %10, 0 : f32[4,8] from "loop"
  %all = rebalance %9, 0 : f32[turns,4,8] from "loop"
  %y = rebalance %12, 0 : f32[4,8] from "if"
}
