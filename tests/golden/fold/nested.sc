; run: fold
; idempotent
graph @g(%t: i64[], %x: f32[4]) -> (%y) {
  %c = const true : bool[]
  %a = const [1,2,3,4] : f32[4]
  %b = const 0.5 : f32[]
  %w = mul %a, %b : f32[4]
  %y = loop %t, %c, %x, %w {carried = 1} : f32[4] from "loop"
    graph @body(%i: i64[], %v: f32[4], %w: f32[4]) -> (%on, %p) {
      %on = const true : bool[]
      %two = const 2 : f32[]
      %u = mul %w, %two : f32[4]
      %p = add %v, %u : f32[4]
    }
}
; --- constants are inside where they are read, and fold there
graph @g(%t: i64[], %x: f32[4]) -> (%y) {
  %c = const true : bool[]
  %y = loop %t, %c, %x {carried = 1} : f32[4] from "loop"
    graph @body(%i: i64[], %v: f32[4]) -> (%on, %p) {
      %u = const [1,2,3,4] : f32[4]
      %p = add %v, %u : f32[4]
      %on = const true : bool[]
    }
}
