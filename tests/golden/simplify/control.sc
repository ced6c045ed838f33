; run: simplify
; idempotent
graph @g(%x: f32[n,4], %t: i64[]) -> (%y, %u, %last, %all, %kept) {
  %c = const false : bool[]
  %go = const true : bool[]
  %once = const 1 : i64[]
  %none = const 0 : i64[]
  %y, %u = if %c, %x {as = [0,0,some,0]} : f32[n,4], f32[some,4] from "if"
    graph @then(%x: f32[n,4]) -> (%p, %q) {
      %p = relu %x : f32[n,4]
      %q = concat %x, %x {axis = 0} : f32[2*n,4]
    }
    graph @else(%x: f32[n,4]) -> (%p, %q) {
      %p = neg %x : f32[n,4]
      %q = concat %x, %x, %x {axis = 0} : f32[3*n,4]
    }
  %last, %all = loop %once, %go, %y, %x {as = [more,0,0,0,0], carried = 1} : f32[more,4], f32[1,n,4] from "loop"
    graph @body(%i: i64[], %v: f32[m,4], %w: f32[n,4]) -> (%on, %next, %w2) {
      %on = const true : bool[]
      %next = concat %v, %w {axis = 0} : f32[m+n,4]
      %w2 = neg %w : f32[n,4]
    }
  %kept = loop %none, %go, %u {carried = 1} : f32[some,4] from "never"
    graph @body(%i: i64[], %v: f32[some,4]) -> (%on, %next) {
      %on = const true : bool[]
      %next = neg %v : f32[some,4]
    }
}
; --- nothing is left to decide; what the nodes bound for extents is bound to what these are
graph @g(%x: f32[n,4], %t: i64[]) -> (%p as y, %u, %last, %all, %u as kept) {
  guard 12*n = 4*some : "elements, and those of the shape asked for" from "if"
  guard 0 <= some : "an extent of the result" from "if"
  guard 4*n = 4*m : "elements, and those of the shape asked for" from "if"
  guard 0 <= m : "an extent of the result" from "if"
  guard 0 <= m+n : "an extent of the result"
  guard 4*m+4*n = 4*more : "elements, and those of the shape asked for" from "loop"
  guard 0 <= more : "an extent of the result" from "loop"
  %p = neg %x : f32[n,4]
  %q = concat %x, %x, %x {axis = 0} : f32[3*n,4]
  %6 = term {value = [3*n]} : i64[1] from "if"
  %7 = bind %6 {as = [some]} : i64[1] from "if"
  %u = reshape %q : f32[some,4] from "if"
  %9 = term {value = [n]} : i64[1] from "if"
  %10 = bind %9 {as = [m]} : i64[1] from "if"
  %11 = reshape %p : f32[m,4] from "if"
  %next = concat %11, %x {axis = 0} : f32[m+n,4]
  %13 = term {value = [m+n]} : i64[1] from "loop"
  %14 = bind %13 {as = [more]} : i64[1] from "loop"
  %last = reshape %next : f32[more,4] from "loop"
  %all = reshape %p : f32[1,n,4] from "loop"
}
