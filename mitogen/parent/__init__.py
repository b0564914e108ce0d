"""What a process needs to become a parent: starting children, talking to them, sending them code.

A child that becomes a parent imports these modules over the wire, so this
package imports none of them by itself.
"""
