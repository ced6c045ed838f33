; run: scalify --recipe fp8 --scales dynamic
graph @g(%x: f32[4,4], %h: f32[4,4], %t: i64[], %c: bool[]) -> (%last, %all, %y) {
  %w = const @w : f32[4,4]
  %p = matmul %x, %w : f32[4,4] from "first"
  %q = matmul %p, %w : f32[4,4] from "second"
  %last, %all = loop %t, %c, %h, %p {as = [0,0,turns,0,0], carried = 1} : f32[4,4], f32[turns,4,4] from "loop"
    graph @body(%i: i64[], %h: f32[4,4], %p: f32[4,4]) -> (%on, %next, %half) {
      %on = const true : bool[]
      %s = add %h, %p : f32[4,4] from "sum"
      %next = matmul %s, %p : f32[4,4] from "next"
      %f = const 0.125 : f32[]
      %half = mul %next, %f : f32[4,4] from "half"
    }
  %y = if %c, %q : f32[4,4] from "if"
    graph @then(%q: f32[4,4]) -> (%r) {
      %e = tanh %q : f32[4,4] from "tanh"
      %r = matmul %e, %q : f32[4,4] from "then"
    }
    graph @else(%q: f32[4,4]) -> (%r) {
      %r = mul %q, %q : f32[4,4] from "else"
    }
}
; --- bodies measure what they make; what enters from outside has the exponent that was found there; what is carried leaves as it began
graph @g(%x: f32[4,4], %h: f32[4,4], %t: i64[], %c: bool[]) -> (%last, %all, %y) {
  %6, %7 = measure %x : i64[], f32[]
  %8 = bind %6 {as = [e.0]} : i64[]
  %9 = rebalance %x, e.0 : f32[4,4] * 2^e.0
  %w = const @w : f32[4,4]
  %p = matmul %9, %w : f32[4,4] * 2^e.0 from "first"
  %12 = rebalance %p, e.0+1 : f32[4,4] * 2^(e.0+1) from "first"
  %13 = rebalance %12, 0 : f32[4,4] from "first"
  %14, %15 = measure %13 : i64[], f32[] from "first"
  %16 = bind %14 {as = [e.1]} : i64[] from "first"
  %17 = rebalance %12, e.1 : f32[4,4] * 2^e.1 from "first"
  %q = matmul %17, %w : f32[4,4] * 2^e.1 from "second"
  %19 = rebalance %q, e.1+1 : f32[4,4] * 2^(e.1+1) from "second"
  %last, %all = loop %t, %c, %h, %17 {as = [0,0,turns,0,0], carried = 1} : f32[4,4], f32[turns,4,4] from "loop"
    graph @body(%i: i64[], %h: f32[4,4], %p: f32[4,4] * 2^e.1) -> (%on, %next, %half) {
      %5 = rebalance %p, 0 : f32[4,4]
      %6, %7 = measure %5 : i64[], f32[]
      %8 = bind %6 {as = [e.2]} : i64[]
      %9 = rebalance %p, e.2 : f32[4,4] * 2^e.2
      %10 = rebalance %9, 0 : f32[4,4] from "sum"
      %s = add %h, %10 : f32[4,4] from "sum"
      %12, %13 = measure %s : i64[], f32[] from "sum"
      %14 = bind %12 {as = [e.3]} : i64[] from "sum"
      %15 = rebalance %s, e.3 : f32[4,4] * 2^e.3 from "sum"
      %16 = matmul %15, %9 : f32[4,4] * 2^(e.2+e.3) from "next"
      %17 = rebalance %16, e.2+e.3+1 : f32[4,4] * 2^(e.2+e.3+1) from "next"
      %f = const 0.125 : f32[] * 2^-3
      %19 = mul %17, %f : f32[4,4] * 2^(e.2+e.3-2) from "half"
      %next = rebalance %17, 0 : f32[4,4] from "next"
      %half = rebalance %19, 0 : f32[4,4] from "half"
      %on = const true : bool[]
    }
  %y = if %c, %19 : f32[4,4] from "if"
    graph @then(%q: f32[4,4] * 2^(e.1+1)) -> (%r) {
      %3 = rebalance %q, 0 : f32[4,4]
      %4, %5 = measure %3 : i64[], f32[]
      %6 = bind %4 {as = [e.4]} : i64[]
      %7 = rebalance %q, e.4 : f32[4,4] * 2^e.4
      %8 = rebalance %7, 0 : f32[4,4] from "tanh"
      %e = tanh %8 : f32[4,4] from "tanh"
      %10, %11 = measure %e : i64[], f32[] from "tanh"
      %12 = bind %10 {as = [e.5]} : i64[] from "tanh"
      %13 = rebalance %e, e.5 : f32[4,4] * 2^e.5 from "tanh"
      %14 = matmul %13, %7 : f32[4,4] * 2^(e.4+e.5) from "then"
      %15 = rebalance %14, e.4+e.5+1 : f32[4,4] * 2^(e.4+e.5+1) from "then"
      %r = rebalance %15, 0 : f32[4,4] from "then"
    }
    graph @else(%q: f32[4,4] * 2^(e.1+1)) -> (%r) {
      %3 = mul %q, %q : f32[4,4] * 2^(2*e.1+2) from "else"
      %4 = rebalance %3, 2*e.1+3 : f32[4,4] * 2^(2*e.1+3) from "else"
      %r = rebalance %4, 0 : f32[4,4] from "else"
    }
}
