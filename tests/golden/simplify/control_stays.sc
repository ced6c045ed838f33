; run: simplify
; idempotent
graph @g(%x: f32[4], %c: bool[], %t: i64[]) -> (%a, %b, %d) {
  %go = const true : bool[]
  %none = const 0 : i64[]
  %a = if %c, %x : f32[4] from "asked"
    graph @then(%x: f32[4]) -> (%p) {
      %p = relu %x : f32[4]
    }
    graph @else(%x: f32[4]) -> (%p) {
      %p = neg %x : f32[4]
    }
  %b = loop %t, %go, %x {carried = 1} : f32[4] from "counted"
    graph @body(%i: i64[], %v: f32[4]) -> (%on, %next) {
      %on = const false : bool[]
      %next = relu %v : f32[4]
    }
  %last, %d = loop %none, %go, %x {carried = 1} : f32[4], f32[0,4] from "empty"
    graph @body(%i: i64[], %v: f32[4]) -> (%on, %next, %e) {
      %on = const true : bool[]
      %next = neg %v : f32[4]
      %e = relu %v : f32[4]
    }
}
; --- a condition or a number of turns that only the run knows; an element of no turn, which has no value to be
graph @g(%x: f32[4], %c: bool[], %t: i64[]) -> (%a, %b, %d) {
  %a = if %c, %x : f32[4] from "asked"
    graph @then(%x: f32[4]) -> (%p) {
      %p = relu %x : f32[4]
    }
    graph @else(%x: f32[4]) -> (%p) {
      %p = neg %x : f32[4]
    }
  %go = const true : bool[]
  %b = loop %t, %go, %x {carried = 1} : f32[4] from "counted"
    graph @body(%i: i64[], %v: f32[4]) -> (%on, %next) {
      %next = relu %v : f32[4]
      %on = const false : bool[]
    }
  %none = const 0 : i64[]
  %last, %d = loop %none, %go, %x {carried = 1} : f32[4], f32[0,4] from "empty"
    graph @body(%i: i64[], %v: f32[4]) -> (%on, %next, %e) {
      %next = neg %v : f32[4]
      %e = relu %v : f32[4]
      %on = const true : bool[]
    }
}
