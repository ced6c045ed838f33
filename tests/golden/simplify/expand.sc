; run: simplify
; idempotent
graph @g(%x: f32[2,3], %s: f32[1,3]) -> (%a, %b) {
  %1 = expand %s : f32[2,3] from "expand"
  %a = add %x, %1 : f32[2,3] from "a"
  %b = mul %1, %1 : f32[2,3] from "b"
}
; --- an elementwise node broadcasts by itself, where another operand has the shape
graph @g(%x: f32[2,3], %s: f32[1,3]) -> (%a, %b) {
  %4 = expand %s : f32[2,3] from "expand"
  %a = add %x, %s : f32[2,3] from "a"
  %b = mul %4, %4 : f32[2,3] from "b"
}
